# One set of warnings for every file of ours, and each one is an error.
add_library(rd_flags INTERFACE)
target_compile_options(rd_flags INTERFACE
  -Wall -Wextra -Werror -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wundef
  -Wpointer-arith -Wcast-qual -Wwrite-strings -Wformat=2 -Wno-unused-parameter
  -fno-strict-aliasing -fstack-protector-strong)
target_compile_definitions(rd_flags INTERFACE _GNU_SOURCE RD_VERSION="${PROJECT_VERSION}")
target_include_directories(rd_flags INTERFACE ${PROJECT_SOURCE_DIR}/src)

# What is packaged is hardened: checked copies, position independent, read-only relocations.
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
target_compile_options(rd_flags INTERFACE $<$<CONFIG:Release>:-D_FORTIFY_SOURCE=2>)
target_link_options(rd_flags INTERFACE $<$<CONFIG:Release>:-Wl,-z,relro,-z,now>)

# What gcc takes for clearing and copying structs on x86 by itself, "rep stos", takes longer to begin
# than most of ours take to clear. What the link optimises again needs to be told, too.
include(CheckCCompilerFlag)
set(rd_strings "=vector_loop:256:noalign,libcall:-1:noalign")
check_c_compiler_flag("-mmemset-strategy${rd_strings}" RD_HAS_STRING_STRATEGY)
if(RD_HAS_STRING_STRATEGY)
  set(rd_strings -mmemset-strategy${rd_strings} -mmemcpy-strategy${rd_strings})
  target_compile_options(rd_flags INTERFACE ${rd_strings})
  target_link_options(rd_flags INTERFACE ${rd_strings})
endif()
