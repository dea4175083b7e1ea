# What is made of the workers' reports: who works on what, and how long jobs of each type took.
lanekeeper_library(gateway_types
  SOURCES
    type_table.cpp type_table.h
    type_times.h
    worker_desk.cpp worker_desk.h
    worker_table.cpp worker_table.h
  DEPENDS lanekeeper::base lanekeeper::gateway_rules lanekeeper::job lanekeeper::nats)
lanekeeper_test(gateway_types_test LABEL unit
  SOURCES type_table_test.cpp worker_table_test.cpp testing/media_lanes.h
  DEPENDS lanekeeper::gateway_types)
lanekeeper_test(gateway_types_nats_test LABEL nats
  SOURCES worker_desk_nats_test.cpp
  DEPENDS lanekeeper::gateway_types lanekeeper::nats_testing)
