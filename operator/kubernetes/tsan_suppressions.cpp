// Linked into the tests: what ThreadSanitizer cannot judge in this room.
//
// Debian's cpprestsdk is not instrumented, and neither is the reference count of std::exception_ptr
// in libstdc++: ThreadSanitizer sees their deletes, not the atomics that order them. Of ours, only
// Completion (api_client.cpp) is used on cpprestsdk's threads; all that stands behind a mutex.
extern "C" const char* __tsan_default_suppressions();

const char* __tsan_default_suppressions() {
  return "race:libcpprest.so\n"
         "race:pplx::details::_ExceptionHolder\n";
}
