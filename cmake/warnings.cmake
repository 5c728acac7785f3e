# One set of warnings for every file of ours, and each one is an error.
add_library(rd_flags INTERFACE)
target_compile_options(rd_flags INTERFACE
  -Wall -Wextra -Werror -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wundef
  -Wpointer-arith -Wcast-qual -Wwrite-strings -Wformat=2 -Wno-unused-parameter
  -fno-strict-aliasing -fstack-protector-strong)
target_compile_definitions(rd_flags INTERFACE _GNU_SOURCE RD_VERSION="${PROJECT_VERSION}")
target_include_directories(rd_flags INTERFACE ${PROJECT_SOURCE_DIR}/src)
