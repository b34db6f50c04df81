FROM node:24.21.0-slim
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The image is its own Node 24: the one that npm brings for older machines is left out.
RUN npm ci --omit=dev && rm -rf node_modules/node-linux-* node_modules/.bin/node
COPY . .
RUN mkdir /data && chown node:node /data
USER node
ENV LAMPPOST_DATA=/data LAMPPOST_CITY=/app/city
VOLUME /data
EXPOSE 1883 8080
HEALTHCHECK --interval=10s --timeout=3s CMD ["node", "-e", "fetch('http://127.0.0.1:8080/health').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
STOPSIGNAL SIGTERM
CMD ["node", "bin/lamppost.js", "start"]
