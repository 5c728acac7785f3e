# rd_layer(NAME LINKS...): one static library from every .c file of the calling folder, linked only
# to what its layer allows. tools/check_layers proves the same for the include lines.
function(rd_layer name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
  if(NOT sources)
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE rd_flags ${ARGN})
    return()
  endif()
  add_library(${name} STATIC ${sources})
  target_link_libraries(${name} PUBLIC rd_flags ${ARGN})
endfunction()
