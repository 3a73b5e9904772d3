import { readFileSync } from 'node:fs';

import { ServerConnection } from '@jupyterlab/services';
import { afterEach, expect, test, vi } from 'vitest';

import { Api } from '../src/api';
import { EventStream } from '../src/events';
import { ApiError, request, socketUrl } from '../src/request';
import { VERSION } from '../src/version';

function settings(
  answer: () => Response | Promise<Response>,
  asked: string[] = []
): ServerConnection.ISettings {
  return ServerConnection.makeSettings({
    baseUrl: 'http://host/base/',
    wsUrl: 'ws://host/base/',
    token: 'secret',
    appendToken: true,
    fetch: async (input: RequestInfo | URL) => {
      asked.push((input as Request).url ?? String(input));
      return answer();
    }
  } as Partial<ServerConnection.ISettings>);
}

async function refusal(response: Response): Promise<ApiError> {
  return request(
    settings(() => response),
    'workspaces'
  ).then(
    () => Promise.reject(new Error('not refused')),
    (reason: ApiError) => reason
  );
}

test('a refusal of ours keeps its code, hint and field', async () => {
  const body = {
    error: {
      code: 'name_taken',
      message: 'taken',
      hint: 'Choose another',
      retryable: false,
      field: 'name'
    }
  };
  const error = await refusal(
    new Response(JSON.stringify(body), { status: 409 })
  );
  expect(error).toMatchObject({
    code: 'name_taken',
    message: 'taken',
    hint: 'Choose another',
    status: 409,
    field: 'name'
  });
});

test('a server without our part is told from one that is down', async () => {
  const page = new Response('<html>Not Found</html>', { status: 404 });
  expect((await refusal(page)).code).toBe('server_missing');
  const other = new Response('{"message": "Not found"}', { status: 404 });
  expect((await refusal(other)).code).toBe('server_missing');
  const login = new Response('<html>Log in</html>', { status: 200 });
  expect((await refusal(login)).code).toBe('server_missing');
  const proxy = new Response('Bad gateway', { status: 502 });
  expect((await refusal(proxy)).code).toBe('unreachable');
  const down = settings(() => Promise.reject(new TypeError('refused')));
  await expect(request(down, 'x')).rejects.toMatchObject({
    code: 'unreachable'
  });
});

test('an answer of another form is an older server', async () => {
  const api = new Api(settings(() => new Response('{"mine": {}}')));
  await expect(api.used()).rejects.toMatchObject({ code: 'server_older' });
});

test('all pages are read, and none of it counts as activity', async () => {
  const pages = [
    { workspaces: [{ id: 'a' }], next: 'p&2' },
    { workspaces: [{ id: 'b' }], next: '' }
  ];
  const asked: string[] = [];
  const api = new Api(
    settings(() => new Response(JSON.stringify(pages.shift())), asked)
  );
  expect((await api.list()).map(row => row.id)).toEqual(['a', 'b']);
  expect(asked[0]).toContain('http://host/base/syla/v1/workspaces?limit=');
  expect(asked[1]).toContain('after=p%262');
  expect(asked.every(url => url.includes('no_track_activity=1'))).toBe(true);
});

test('a deletion carries the name as its confirmation', async () => {
  const asked: string[] = [];
  const api = new Api(
    settings(() => new Response(null, { status: 204 }), asked)
  );
  await api.remove('a', 'my name');
  expect(asked[0]).toContain('workspaces/a?force=true&confirm=my+name');
});

test('versions: what is asked for, and where', async () => {
  const asked: string[] = [];
  const sent: unknown[] = [];
  const api = new Api(
    ServerConnection.makeSettings({
      baseUrl: 'http://host/',
      fetch: async (input: RequestInfo | URL) => {
        const asking = input as Request;
        asked.push(`${asking.method} ${new URL(asking.url).pathname}`);
        sent.push(asking.body ? await asking.json() : null);
        return new Response('{"snapshots": []}');
      }
    } as Partial<ServerConnection.ISettings>)
  );
  await api.snapshots('a');
  await api.take('a', 'mine');
  await api.restore('a', 3, ['files/x']);
  await api.diff('a', 1, 3);
  await api.clone('a', 'b', null);
  await api.clone('a', 'b', 3);
  await api.export('a', 3);
  expect(asked.map(line => line.replace('/syla/v1/workspaces/a', ''))).toEqual([
    'GET /snapshots',
    'POST /snapshots',
    'POST /snapshots/3/restore',
    'GET /snapshots/1/diff/3',
    'POST /clone',
    'POST /clone',
    'POST /export'
  ]);
  expect(sent).toEqual([
    null,
    { message: 'mine' },
    { paths: ['files/x'] },
    null,
    { name: 'b' },
    { name: 'b', version: 3 },
    { version: 3 }
  ]);
});

test('a file is given as it comes; a refusal or a page is no file', async () => {
  const answers = [
    new Response(new Uint8Array([1, 2, 3])),
    new Response('{"error": {"code": "wrong_state", "message": "no"}}', {
      status: 409
    }),
    new Response('<html>Log in</html>', {
      headers: { 'Content-Type': 'text/html; charset=UTF-8' }
    })
  ];
  const api = new Api(settings(() => answers.shift()!));
  expect((await api.export('a', null)).size).toBe(3);
  await expect(api.export('a', null)).rejects.toMatchObject({
    code: 'wrong_state',
    status: 409
  });
  await expect(api.export('a', null)).rejects.toMatchObject({
    code: 'server_missing'
  });
});

test('the address of the socket has the token only where it belongs', () => {
  const url = socketUrl(
    settings(() => new Response()),
    'events',
    { a: 'b' }
  );
  expect(url).toBe('ws://host/base/syla/v1/events?a=b&token=secret');
});

class Socket {
  static made: Socket[] = [];
  onmessage: (message: { data: string }) => void = () => undefined;
  onclose: () => void = () => undefined;
  constructor(readonly url: string) {
    Socket.made.push(this);
  }
  say(event: object): void {
    this.onmessage({ data: JSON.stringify(event) });
  }
  close(): void {
    this.onclose();
  }
}

afterEach(() => {
  vi.useRealTimers();
  Socket.made = [];
});

test('the stream opens itself again, after its last event, each time later', async () => {
  vi.useFakeTimers();
  const stream = new EventStream({
    ...settings(() => new Response()),
    WebSocket: Socket as unknown as typeof WebSocket
  });
  const states: boolean[] = [];
  stream.connectedChanged.connect((_, connected) => states.push(connected));
  stream.connect();
  Socket.made[0].say({ event: 'hello', id: 'h-1', reset: false });
  Socket.made[0].say({ event: 'change', id: 'h-2' });
  Socket.made[0].onmessage({ data: 'no JSON' });
  Socket.made[0].close();
  expect(states).toEqual([true, false]);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(Socket.made[1].url).toContain('last_event_id=h-2');
  Socket.made[1].close();
  await vi.advanceTimersByTimeAsync(1_900);
  expect(Socket.made).toHaveLength(2);
  await vi.advanceTimersByTimeAsync(200);
  expect(Socket.made).toHaveLength(3);
  stream.dispose();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(Socket.made).toHaveLength(3);
});

test('all parts of the package are of one version', () => {
  const manifest = JSON.parse(readFileSync('package.json', 'utf8'));
  const python = readFileSync('syla_jupyter/__init__.py', 'utf8');
  expect(manifest.version).toBe(VERSION);
  expect(python).toContain(`__version__ = "${VERSION}"`);
});
