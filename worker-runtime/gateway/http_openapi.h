// openapi.json as it was when this was built. The text is embedded by http.cmake.
#pragma once

#include <string_view>

namespace lanekeeper::gateway {

std::string_view OpenApiDocument();

}  // namespace lanekeeper::gateway
