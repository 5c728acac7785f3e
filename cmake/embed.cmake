# cmake -DOUT=FILE.c -DHEADER=... -DNAMES=a;b -DFILES=x;y -P embed.cmake: the files as arrays of bytes,
# each with its SHA-256, by which a page says what may run in it (Content-Security-Policy).
file(WRITE ${OUT}.new "/* Made by cmake/embed.cmake. */\n#include \"${HEADER}\"\n")
foreach(name file IN ZIP_LISTS NAMES FILES)
  file(READ ${file} hex HEX)
  file(SHA256 ${file} sum)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," sum "${sum}")
  file(APPEND ${OUT}.new "static const char ${name}_bytes[] = {${bytes}};\n"
    "const struct embedded ${name} = {{${name}_bytes, sizeof(${name}_bytes)}, {${sum}}};\n")
endforeach()
file(RENAME ${OUT}.new ${OUT})
