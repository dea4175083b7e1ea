# Jobs after they were accepted: look up, list, watch, cancel; pauses.
lanekeeper_library(gateway_desk
  SOURCES
    job_desk.cpp job_desk.h
    job_desk_cancel.cpp job_desk_cancel.h
    job_desk_core.cpp job_desk_core.h
    job_desk_find.cpp job_desk_find.h
    job_desk_list.cpp job_desk_list.h
    job_desk_pause.cpp job_desk_pause.h
    job_desk_queue.cpp job_desk_queue.h
    job_desk_watch.cpp job_desk_watch.h
    job_view.cpp job_view.h
  DEPENDS lanekeeper::base lanekeeper::gateway_rules lanekeeper::job lanekeeper::nats
  PRIVATE_DEPENDS nlohmann_json::nlohmann_json)
lanekeeper_test(gateway_desk_test LABEL unit
  SOURCES job_view_test.cpp
  DEPENDS lanekeeper::gateway_desk nlohmann_json::nlohmann_json)
lanekeeper_test(gateway_desk_nats_test LABEL nats
  SOURCES
    job_desk_find_nats_test.cpp
    job_desk_list_nats_test.cpp
    job_desk_watch_nats_test.cpp
    testing/desk_fixture.h testing/fake_pools.h
  DEPENDS lanekeeper::gateway_desk lanekeeper::nats_testing)
# The desk against real workers: outside of this room, which knows none.
lanekeeper_test(worker_cancel_nats_test LABEL nats
  SOURCES
    ${PROJECT_SOURCE_DIR}/worker-runtime/runner/testing/in_process_worker.h
    ${PROJECT_SOURCE_DIR}/worker-runtime/runner/testing/lane_fixture.cpp
    ${PROJECT_SOURCE_DIR}/worker-runtime/worker_cancel_nats_test.cpp
  DEPENDS
    lanekeeper::gateway_desk lanekeeper::nats_testing lanekeeper::runner
    nlohmann_json::nlohmann_json)
if(TARGET worker_cancel_nats_test)
  add_dependencies(worker_cancel_nats_test lanekeeper-example-worker)
endif()
