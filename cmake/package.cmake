# What `cmake --install` puts where, and the Debian package that CPack makes of it.
include(GNUInstallDirs)
set(pkg ${PROJECT_SOURCE_DIR}/packaging)
# The program itself is installed in src/app.
install(FILES ${pkg}/ringdown.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${PROJECT_SOURCE_DIR}/docs/configuration.md
  ${PROJECT_SOURCE_DIR}/docs/analyze.md ${PROJECT_SOURCE_DIR}/docs/analyze-json.md
  ${PROJECT_SOURCE_DIR}/docs/watch.md ${PROJECT_SOURCE_DIR}/docs/recordings.md
  ${PROJECT_SOURCE_DIR}/config/ringdown.yaml
  ${PROJECT_SOURCE_DIR}/CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
# Debian looks for the licence under this name.
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)
if(CMAKE_INSTALL_PREFIX STREQUAL "/usr")
  install(FILES ${pkg}/ringdown.service DESTINATION lib/systemd/system)
  install(FILES ${pkg}/ringdown.tmpfiles DESTINATION lib/tmpfiles.d RENAME ringdown.conf)
  install(FILES ${pkg}/ringdown.logrotate DESTINATION /etc/logrotate.d RENAME ringdown)
  install(FILES ${pkg}/fail2ban-filter.conf DESTINATION /etc/fail2ban/filter.d RENAME ringdown.conf)
  install(FILES ${pkg}/fail2ban-jail.conf DESTINATION /etc/fail2ban/jail.d RENAME ringdown.conf)
  install(FILES ${pkg}/ringdown.yaml DESTINATION /etc/ringdown
    PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ)
endif()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_NAME ringdown)
set(CPACK_PACKAGE_VENDOR "The Ringdown authors")
set(CPACK_PACKAGE_CONTACT "The Ringdown authors <ringdown@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "SIP telephone exchange")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"Phones register with it and call each other and the outside world over trunks;
every call passes through it, signalling and voice. One program, one YAML file,
one SQLite database.")
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION comm)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "adduser")
# What is spoken from text needs a speech program; all else works without it.
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "espeak-ng")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "fail2ban, logrotate")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${pkg}/conffiles ${pkg}/postinst ${pkg}/prerm ${pkg}/postrm)
include(CPack)
