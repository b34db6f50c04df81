FROM node:24.21.0-slim AS build
WORKDIR /app
COPY . .
# Its `prepare` builds the pages, with what only development needs; then that goes. The image is its own Node 24: the one
# that npm brings for older machines goes too.
RUN npm ci && npm prune --omit=dev --ignore-scripts \
  && rm -rf console/src console/build node_modules/node-linux-* node_modules/.bin/node node_modules/.cache

FROM node:24.21.0-slim
WORKDIR /app
# Few arenas of malloc: threads that are idle keep less memory.
ENV LAMPPOST_DATA=/data LAMPPOST_CITY=/app/city MALLOC_ARENA_MAX=2
COPY --from=build /app .
# The cache of compiled modules is filled by one start now, so that the root may be read-only later.
RUN mkdir -p /data /backups node_modules/.cache && chown node:node /data /backups node_modules/.cache
USER node
RUN LAMPPOST_DATA=/tmp/first node bin/lamppost.js start > /dev/null & server=$!; \
  until bash bin/healthy.sh; do kill -0 "$server" || exit 1; sleep 1; done; \
  kill "$server" && wait "$server" && rm -rf /tmp/first
VOLUME /data
EXPOSE 1883 8080
# By the shell: a Node for each check would cost more than an idle server.
HEALTHCHECK --interval=15s --timeout=3s --start-period=60s CMD ["bash", "bin/healthy.sh"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "bin/lamppost.js"]
CMD ["start"]
