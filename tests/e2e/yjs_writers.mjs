// Pages in JavaScript, with the libraries that JupyterLab's have: what `test_coediting.Writer` does, in one process.
//
//   node yjs_writers.mjs '{"url", "token", "path", "writers": [24, …], "edits", "seed"}'
//
// Reads lines: a number is how many edits each may make so far; `show` has each connect once more and say what it has.
// Writes lines of JSON: {"writer", "acknowledged"} as it grows, {"writer", "sources"} when it is asked.

import { createInterface } from 'node:readline';
import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import WebSocket from 'ws';
import * as sync from 'y-protocols/sync';
import * as Y from 'yjs';

const SYNC = 0;
const STEP_1 = 0;
const STEP_2 = 1;
const ANSWER_MILLISECONDS = 20_000;
const AGAIN_MILLISECONDS = 200;
const given = JSON.parse(process.argv[2]);
const headers = { Authorization: `token ${given.token}` };

const pause = milliseconds =>
  new Promise(resolve => setTimeout(resolve, milliseconds));
const tell = row => process.stdout.write(`${JSON.stringify(row)}\n`);

/** Numbers from 0 to 1, the same ones for the same seed (mulberry32). */
function chances(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

let allowed = 0;
let wake = [];
function allow(count) {
  allowed = count;
  wake.forEach(resolve => resolve());
  wake = [];
}

/** A connection of one document; what the document says by itself goes out. */
class Page {
  constructor(doc) {
    this.doc = doc;
    this.asked = 0;
    this.answers = 0;
    this.waiting = [];
  }

  async open() {
    const asked = { format: 'json', type: 'notebook' };
    const address = `${given.url}/api/collaboration/session/${given.path}`;
    const answer = await fetch(address, {
      method: 'PUT',
      headers: { ...headers, 'Content-Type': 'application/json' },
      body: JSON.stringify(asked),
      signal: AbortSignal.timeout(ANSWER_MILLISECONDS)
    });
    if (!answer.ok) {
      throw new Error(`${answer.status} for a session`);
    }
    const made = await answer.json();
    const room = `${made.format}:${made.type}:${made.fileId}?sessionId=${made.sessionId}`;
    this.socket = new WebSocket(
      `${given.url.replace('http', 'ws')}/api/collaboration/room/${room}`,
      { headers }
    );
    this.socket.binaryType = 'arraybuffer';
    this.socket.on('message', data => this.take(new Uint8Array(data)));
    this.socket.on('close', () => this.news());
    this.socket.on('error', () => this.news());
    this.listener = (update, origin) => {
      if (origin !== this) {
        this.send(encoder => sync.writeUpdate(encoder, update));
      }
    };
    this.doc.on('update', this.listener);
    await this.until(() => this.asked > 0);
    await this.synced();
  }

  close() {
    this.doc.off('update', this.listener);
    this.socket?.terminate();
  }

  send(write) {
    if (this.socket.readyState !== WebSocket.OPEN) {
      return;
    }
    const encoder = encoding.createEncoder();
    encoding.writeVarUint(encoder, SYNC);
    write(encoder);
    this.socket.send(encoding.toUint8Array(encoder));
  }

  take(message) {
    const decoder = decoding.createDecoder(message);
    if (decoding.readVarUint(decoder) === SYNC) {
      const encoder = encoding.createEncoder();
      const kind = sync.readSyncMessage(decoder, encoder, this.doc, this);
      this.asked += kind === STEP_1;
      this.answers += kind === STEP_2;
      if (encoding.length(encoder)) {
        this.send(answer =>
          encoding.writeUint8Array(answer, encoding.toUint8Array(encoder))
        );
      }
    }
    this.news();
  }

  news() {
    this.waiting.splice(0).forEach(resolve => resolve());
  }

  async until(condition) {
    const timer = setTimeout(
      () => this.socket.terminate(),
      ANSWER_MILLISECONDS
    );
    try {
      while (!condition()) {
        if (this.socket.readyState > WebSocket.OPEN) {
          throw new Error('closed');
        }
        await new Promise(resolve => this.waiting.push(resolve));
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** All that was sent is heard: the server answers in order. */
  async synced() {
    const before = this.answers;
    this.send(encoder => sync.writeSyncStep1(encoder, this.doc));
    await this.until(() => this.answers > before);
  }
}

class Writer {
  constructor(number) {
    this.number = number;
    this.chance = chances(given.seed + number);
    this.doc = new Y.Doc();
    this.said = 0;
    this.acknowledged = 0;
  }

  async work() {
    while (this.acknowledged < given.edits) {
      while (this.said === this.acknowledged && this.said >= allowed) {
        await new Promise(resolve => wake.push(resolve));
      }
      await this.connected(page => this.write(page));
    }
  }

  /** Whether it went well; if not, it is tried again a moment later. */
  async connected(doing) {
    const page = new Page(this.doc);
    try {
      await page.open();
      this.acknowledge(); // it said all that it had when it connected
      await doing(page);
      return true;
    } catch {
      await pause(AGAIN_MILLISECONDS);
      return false;
    } finally {
      page.close();
    }
  }

  async write(page) {
    let stays = 1 + Math.floor(3 * this.chance());
    while (this.said < Math.min(allowed, given.edits) && stays) {
      const name = `w${this.number}e${this.said}`;
      this.said += 1;
      this.doc.transact(() => {
        const cells = this.doc.getArray('cells');
        const cell = new Y.Map();
        cell.set('id', name);
        cell.set('cell_type', 'raw');
        cell.set('source', new Y.Text(name));
        cell.set('metadata', new Y.Map());
        cells.push([cell]);
        const shared = cells.get(0).get('source');
        shared.insert(shared.length, `${name} `);
      });
      await page.synced();
      this.acknowledge();
      await pause(300 * this.chance());
      stays -= 1;
    }
  }

  acknowledge() {
    this.acknowledged = this.said;
    tell({ writer: this.number, acknowledged: this.acknowledged });
  }

  async show() {
    while (!(await this.connected(async () => undefined)));
    const cells = this.doc.getArray('cells').toArray();
    const sources = cells.map(cell => cell.get('source').toString());
    tell({ writer: this.number, sources });
  }
}

const writers = given.writers.map(number => new Writer(number));
createInterface({ input: process.stdin }).on('line', async line => {
  if (line !== 'show') {
    allow(Number(line));
    return;
  }
  for (const writer of writers) {
    await writer.show();
  }
  process.exit(0);
});
writers.forEach(writer => writer.work());
