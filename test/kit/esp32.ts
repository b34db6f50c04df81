import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What of the Arduino core and its libraries a sketch needs. Time passes in `delay` only; the network never fails. */
const HEADERS = {
  'WiFi.h': `#pragma once
#include <cstdio>
enum { WL_CONNECTED = 3 };
inline unsigned long now = 0;
inline unsigned long millis() { return now; }
inline void delay(unsigned long ms) { now += ms; }
struct { void begin(const char*, const char*) {} int status() { return now < 1000 ? 0 : WL_CONNECTED; } } WiFi;
struct WiFiClient {};
`,
  'PubSubClient.h': `#pragma once
#include "WiFi.h"
struct PubSubClient {
  bool open = false;
  unsigned long lastLoop = 0;
  explicit PubSubClient(WiFiClient&) {}
  void setServer(const char*, int) {}
  bool connected() { return open; }
  bool connect(const char* id, const char* user, const char*) {
    printf("connect %s %s\\n", id, user);
    lastLoop = now;
    return open = true;
  }
  bool loop() {
    if (now - lastLoop > 15000) printf("silent %lu\\n", now - lastLoop);
    lastLoop = now;
    return open;
  }
  bool publish(const char* topic, const char* body) { return printf("%lu %s %s\\n", now, topic, body) > 0; }
};
`,
};

/**
 * Compiles a sketch with g++ and runs it for as long as `seconds` of its own time. Returns what its MQTT client did: a
 * line for each connection, for each publication with its time in ms, and for each silence past the keep-alive time of
 * PubSubClient. Throws where the sketch does not compile.
 */
export function runSketch(sketch: string, seconds: number): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'lamppost-sketch-'));
  for (const [name, text] of Object.entries(HEADERS)) writeFileSync(join(folder, name), text);
  const main = `int main() { setup(); while (now < ${seconds}000) loop(); }`;
  writeFileSync(join(folder, 'sketch.cpp'), `${sketch}\n${main}\n`);
  const program = join(folder, 'sketch');
  const flags = ['-std=c++17', '-Wall', '-Werror', '-I', folder];
  execFileSync('g++', [...flags, '-o', program, join(folder, 'sketch.cpp')], { stdio: 'pipe' });
  return execFileSync(program).toString().trim().split('\n');
}
