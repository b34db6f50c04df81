FROM node:24.21.0-slim
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The image is its own Node 24: the one that npm brings for older machines is left out.
RUN npm ci --omit=dev && rm -rf node_modules/node-linux-* node_modules/.bin/node
COPY . .
# The second start reads what the first one compiled.
RUN mkdir -p /data node_modules/.cache && chown node:node /data node_modules/.cache
USER node
# Few arenas of malloc: threads that are idle keep less memory.
ENV LAMPPOST_DATA=/data LAMPPOST_CITY=/app/city MALLOC_ARENA_MAX=2
VOLUME /data
EXPOSE 1883 8080
HEALTHCHECK --interval=10s --timeout=3s CMD ["node", "-e", "fetch('http://127.0.0.1:8080/health').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
STOPSIGNAL SIGTERM
CMD ["node", "bin/lamppost.js", "start"]
