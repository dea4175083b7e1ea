# What takes jobs in: knows NATS, not HTTP.
lanekeeper_library(gateway
  SOURCES
    caller_counts.cpp caller_counts.h
    gateway.cpp gateway.h
    gateway_core.h
    gateway_keyed.cpp
    gateway_scan.cpp gateway_scan.h
    gauges.cpp gauges.h
    keys.cpp keys.h
    pool_directory.cpp pool_directory.h
    publisher.cpp publisher.h
  DEPENDS lanekeeper::gateway_rules lanekeeper::nats
  PRIVATE_DEPENDS nlohmann_json::nlohmann_json)

lanekeeper_test(gateway_pools_nats_test LABEL nats
  SOURCES pool_directory_nats_test.cpp
  DEPENDS lanekeeper::gateway lanekeeper::nats_testing)
lanekeeper_test(gateway_parts_test LABEL unit
  SOURCES
    caller_counts_test.cpp
    gateway_parts_test.cpp
  DEPENDS lanekeeper::gateway)
lanekeeper_test(gateway_nats_test LABEL nats TIMEOUT 600
  SOURCES
    gateway_keys_nats_test.cpp
    gateway_nats_test.cpp
    testing/fake_pools.h testing/gateway_fixture.h testing/submissions.h
  DEPENDS lanekeeper::gateway lanekeeper::nats_testing)
