// Linked into the tests where NATS refuses something or speaks TLS: what ThreadSanitizer cannot
// judge there.
//
// libnats hands out the text of a connection's last error as a pointer into the connection, where
// its reader may be writing the next one; we copy it within its bounds. And it reads and writes a
// TLS session on two threads, with Debian's OpenSSL, which is not instrumented.
extern "C" const char* __tsan_default_suppressions();

const char* __tsan_default_suppressions() {
  return "race:natsConn_processErr\n"
         "race:libssl.so\n"
         "race:libcrypto.so\n";
}
