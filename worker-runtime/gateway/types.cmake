# How long jobs of each type took, learned from the workers' reports.
lanekeeper_library(gateway_types
  SOURCES
    type_table.cpp type_table.h
    type_times.cpp type_times.h
  DEPENDS lanekeeper::base lanekeeper::job lanekeeper::nats)
lanekeeper_test(gateway_types_test LABEL unit
  SOURCES type_table_test.cpp
  DEPENDS lanekeeper::gateway_types)
lanekeeper_test(gateway_types_nats_test LABEL nats
  SOURCES type_times_nats_test.cpp
  DEPENDS lanekeeper::gateway_types lanekeeper::nats_testing)
