# Third-party packages, warnings, sanitizers, and lanekeeper_library(): one room is one library.

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(cpprestsdk REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(spdlog REQUIRED)
find_package(fmt REQUIRED)
find_package(CLI11 REQUIRED)
find_package(tl-expected REQUIRED)
# Debian's cnats-config.cmake names a static library that libnats-dev does not ship.
pkg_check_modules(NATS REQUIRED IMPORTED_TARGET libnats)

add_library(lanekeeper_warnings INTERFACE)
add_library(lanekeeper::warnings ALIAS lanekeeper_warnings)
target_compile_options(lanekeeper_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Woverloaded-virtual
  # g++ 12 warns about std::string inlined from std::variant; a known false alarm (PR105593 ff.).
  -Wno-maybe-uninitialized -Wno-restrict
  # Designated initializers leave the other members at their stated defaults, on purpose.
  -Wno-missing-field-initializers
  $<$<BOOL:${LANEKEEPER_WERROR}>:-Werror>)

if(CMAKE_UNITY_BUILD)
  # A class of one file that holds types of its own is "in a header" there; it warns of nothing real.
  add_compile_options(-Wno-subobject-linkage)
endif()

if(LANEKEEPER_SANITIZE)
  add_compile_options(-fsanitize=${LANEKEEPER_SANITIZE} -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=${LANEKEEPER_SANITIZE})
  if(LANEKEEPER_SANITIZE MATCHES "undefined")
    # The three left out look at every access once more and take half of the compile time. A null
    # access ends the program all the same; memory is not cast here, or packed.
    add_compile_options(-fno-sanitize-recover=undefined -fno-sanitize=null,alignment,object-size)
  endif()
endif()

if(LANEKEEPER_BUILD_TESTS)
  enable_testing()
  find_package(GTest REQUIRED)
  include(GoogleTest)
  # What `ctest -L 'unit|nats'` runs, and the programs that these tests start.
  add_custom_target(unit_and_nats_tests)
endif()

# lanekeeper_library(<room> SOURCES <files> [DEPENDS <targets>] [PRIVATE_DEPENDS <targets>])
function(lanekeeper_library room)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;PRIVATE_DEPENDS" ${ARGN})
  add_library(lanekeeper_${room} STATIC ${ARG_SOURCES})
  add_library(lanekeeper::${room} ALIAS lanekeeper_${room})
  target_include_directories(lanekeeper_${room} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(lanekeeper_${room}
    PUBLIC ${ARG_DEPENDS} PRIVATE lanekeeper::warnings ${ARG_PRIVATE_DEPENDS})
endfunction()

# lanekeeper_started_by_tests(<program>): tells sanitizers there, as in the tests that send HTTP, what
# they cannot judge.
function(lanekeeper_started_by_tests program)
  if(LANEKEEPER_SANITIZE)
    target_sources(${program} PRIVATE
      ${PROJECT_SOURCE_DIR}/worker-runtime/handlers/testing/sanitizer_suppressions.cpp)
  endif()
endfunction()

# lanekeeper_test(<name> LABEL unit|nats|apiserver SOURCES <files> DEPENDS <targets>)
# unit needs nothing; nats starts a real nats-server; apiserver starts a real kube-apiserver.
# One ctest entry per executable: discovering each case would start the executable once a case.
function(lanekeeper_test name)
  if(NOT LANEKEEPER_BUILD_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "LABEL;TIMEOUT" "SOURCES;DEPENDS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE
    ${ARG_DEPENDS} lanekeeper::warnings GTest::gmock GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name} --gtest_brief=0 WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT})
  if(NOT ARG_LABEL STREQUAL "apiserver")
    add_dependencies(unit_and_nats_tests ${name})
  endif()
endfunction()
