# cmake -DINPUT=<file> -DOUTPUT=<cpp> -P http_embed.cmake: the file as http_openapi.h hands it out.
file(READ ${INPUT} bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)"
  "\\1\n" bytes "${bytes}")
file(WRITE ${OUTPUT} "#include \"worker-runtime/gateway/http_openapi.h\"\n
namespace lanekeeper::gateway {
namespace {
constexpr unsigned char kBytes[] = {\n${bytes}};
}  // namespace
std::string_view OpenApiDocument() {
  return {reinterpret_cast<const char*>(kBytes), sizeof kBytes};
}
}  // namespace lanekeeper::gateway\n")
