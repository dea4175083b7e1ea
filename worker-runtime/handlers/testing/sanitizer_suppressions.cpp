// Linked into the tests that send HTTP, and into the programs they start: what sanitizers cannot
// judge there.
//
// Debian's cpprestsdk is not instrumented, and neither is the reference count of std::exception_ptr
// in libstdc++: ThreadSanitizer sees their deletes, not the atomics that order them. Of ours, only
// Exchange (http_handler.cpp) and Completion (api_client.cpp) are used on cpprestsdk's threads;
// both hand over behind a mutex.
//
// What cpprestsdk still had to do for a closed connection is left behind when the process ends.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions();

const char* __tsan_default_suppressions() {
  return "race:libcpprest.so\n"
         "race:pplx::details::_ExceptionHolder\n";
}

const char* __lsan_default_suppressions() { return "leak:libcpprest"; }
