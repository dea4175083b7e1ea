find_package(OpenSSL REQUIRED)

# What decides and reads: no I/O, no clock, no thread.
lanekeeper_library(gateway_rules
  SOURCES
    admission.cpp admission.h
    decisions.h
    find_pool.cpp find_pool.h
    problem.cpp problem.h
    routing.cpp routing.h
    sha256.cpp sha256.h
    submission.cpp submission.h
    submission_fields.h submission_json.cpp
  DEPENDS lanekeeper::base lanekeeper::job
  PRIVATE_DEPENDS nlohmann_json::nlohmann_json OpenSSL::Crypto)
lanekeeper_test(gateway_rules_test LABEL unit
  SOURCES
    admission_test.cpp
    find_pool_test.cpp
    problem_test.cpp
    testing/fake_pools.h
    routing_test.cpp
    submission_test.cpp
  DEPENDS lanekeeper::gateway_rules)
