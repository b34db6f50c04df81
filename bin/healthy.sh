#!/usr/bin/env bash
# Exits with 0 where the server of this machine says that it is well, by HTTP_HOST and HTTP_PORT.
host=${HTTP_HOST:-127.0.0.1}
[ "$host" = 0.0.0.0 ] && host=127.0.0.1
exec 2>/dev/null 3<>"/dev/tcp/$host/${HTTP_PORT:-8080}" || exit 1
printf 'GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
read -r -t 3 _ status _ <&3
[ "$status" = 200 ]
