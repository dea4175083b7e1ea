find_package(OpenSSL REQUIRED)

# openapi.json as an array of bytes: a string literal would be longer than the standard promises.
set(openapi_json ${CMAKE_CURRENT_SOURCE_DIR}/openapi.json)
set(openapi_cpp ${CMAKE_CURRENT_BINARY_DIR}/http_openapi.cpp)
add_custom_command(OUTPUT ${openapi_cpp}
  COMMAND ${CMAKE_COMMAND} -DINPUT=${openapi_json} -DOUTPUT=${openapi_cpp}
    -P ${CMAKE_CURRENT_SOURCE_DIR}/http_embed.cmake
  DEPENDS ${openapi_json} ${CMAKE_CURRENT_SOURCE_DIR}/http_embed.cmake)

lanekeeper_library(gateway_auth
  SOURCES authorizer.cpp authorizer.h
  DEPENDS lanekeeper::base lanekeeper::gateway_rules
  PRIVATE_DEPENDS OpenSSL::Crypto)

lanekeeper_library(gateway_http
  SOURCES
    ${openapi_cpp}
    http_api.cpp http_api.h
    http_bodies.cpp
    http_bulk.cpp http_bulk.h
    http_dead_letters.cpp
    http_events.cpp
    http_exchange.cpp http_exchange.h
    http_jobs.cpp
    http_json.cpp http_json.h
    http_lanes.cpp
    http_live.cpp http_live.h
    http_metrics.cpp http_metrics.h
    http_openapi.h
    http_pools.cpp
    http_problem.cpp http_problem.h
    http_router.cpp http_router.h
    http_server.cpp http_server.h
    http_submit.cpp
    http_target.cpp http_target.h
    http_wait.cpp
    http_workers.cpp
  DEPENDS
    lanekeeper::gateway lanekeeper::gateway_auth lanekeeper::gateway_desk
    lanekeeper::gateway_rules lanekeeper::gateway_transport lanekeeper::gateway_types lanekeeper::nats
    prometheus-cpp::core
  PRIVATE_DEPENDS cpprestsdk::cpprest nlohmann_json::nlohmann_json OpenSSL::SSL)
# cpprestsdk hides its type information, so the vptr check takes its classes for other types.
if(LANEKEEPER_SANITIZE MATCHES "undefined")
  target_compile_options(lanekeeper_gateway_http PRIVATE -fno-sanitize=vptr)
endif()

lanekeeper_test(gateway_auth_test LABEL unit
  SOURCES authorizer_test.cpp
  DEPENDS lanekeeper::gateway_auth)
lanekeeper_test(gateway_http_test LABEL unit
  SOURCES
    http_api_test.cpp
    http_openapi_test.cpp
    http_refusal_test.cpp
    http_target_test.cpp
    http_workers_test.cpp
    testing/fake_desk.h
    testing/fake_pools.h
    testing/fake_workers.h
    testing/http_api_fixture.h
    testing/raw_http.cpp testing/raw_http.h
  DEPENDS lanekeeper::gateway_http nlohmann_json::nlohmann_json)
lanekeeper_test(gateway_http_nats_test LABEL nats TIMEOUT 600
  SOURCES
    http_api_nats_test.cpp
    testing/desk_fixture.h testing/fake_pools.h
    testing/raw_http.cpp testing/raw_http.h
  DEPENDS lanekeeper::gateway_http lanekeeper::nats_testing nlohmann_json::nlohmann_json)
