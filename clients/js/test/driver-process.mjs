// The driver as a program, as libraries in other languages have one.
import { createInterface } from 'node:readline';
import WebSocket from 'ws';
import { driver } from './driver.mjs';

const { start, call, advance, emitted, stop } = driver(WebSocket);
const commands = {
  start,
  call: ({ step }) => call(step),
  advance: ({ ms, late }) => advance(ms, late),
  emitted,
  stop,
};
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  let answer;
  try {
    answer = { result: await commands[command.do](command) };
  } catch (error) {
    answer = { error: error.message };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit();
