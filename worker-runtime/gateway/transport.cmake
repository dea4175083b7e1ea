find_package(Boost REQUIRED)
find_package(OpenSSL REQUIRED)

# The connections under cpprestsdk's http_listener.
lanekeeper_library(gateway_transport
  SOURCES
    http_transport.cpp http_transport.h
    http_transport_answer.cpp http_transport_answer.h
    http_transport_channel.cpp http_transport_channel.h
    http_transport_connection.cpp http_transport_connection.h
    http_transport_deadlines.cpp http_transport_deadlines.h
    http_transport_exchange.cpp http_transport_exchange.h
    http_transport_loop.cpp http_transport_loop.h
    http_transport_parser.cpp http_transport_parser.h
    http_transport_stream.cpp http_transport_stream.h
  DEPENDS lanekeeper::base cpprestsdk::cpprest
  PRIVATE_DEPENDS Boost::boost OpenSSL::SSL Threads::Threads)
# Else cpprestsdk defines a macro of the name U, which other headers use as a name.
target_compile_definitions(lanekeeper_gateway_transport PUBLIC _TURN_OFF_PLATFORM_STRING)
# cpprestsdk hides its type information, so the vptr check takes its classes for other types.
if(LANEKEEPER_SANITIZE MATCHES "undefined")
  target_compile_options(lanekeeper_gateway_transport PRIVATE -fno-sanitize=vptr)
endif()
# Boost.Asio has fences, which ThreadSanitizer does not see; the locks beside them it does.
if(LANEKEEPER_SANITIZE MATCHES "thread")
  target_compile_options(lanekeeper_gateway_transport PRIVATE -Wno-tsan)
endif()
# Two programs, because each process has one set of limits.
lanekeeper_test(http_transport_test LABEL unit
  SOURCES
    http_transport_test.cpp http_transport_limits_test.cpp http_transport_stream_test.cpp
    http_transport_tls_test.cpp
    http_transport_testing.cpp http_transport_testing.h
  DEPENDS lanekeeper::gateway_transport lanekeeper::telemetry OpenSSL::SSL)
lanekeeper_test(http_transport_deadlines_test LABEL unit
  SOURCES
    http_transport_deadlines_test.cpp
    http_transport_testing.cpp http_transport_testing.h
  DEPENDS lanekeeper::gateway_transport lanekeeper::telemetry OpenSSL::SSL)
if(LANEKEEPER_SANITIZE MATCHES "undefined" AND TARGET http_transport_test)
  target_compile_options(http_transport_test PRIVATE -fno-sanitize=vptr)
  target_compile_options(http_transport_deadlines_test PRIVATE -fno-sanitize=vptr)
endif()
