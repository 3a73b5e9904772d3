import { Signal } from '@lumino/signaling';
import { afterEach, expect, test, vi } from 'vitest';

import { Api, IUsed, IWorkspace, IWorkspaceEvent } from '../src/api';
import { IEventStream } from '../src/events';
import { WorkspacesModel } from '../src/model';
import { ApiError, SERVER_OLDER } from '../src/request';
import { VERSION } from '../src/version';
import { sample } from './samples';

/** A server in memory: what it lists, and a stream that a test opens and closes. */
class Server {
  rows: IWorkspace[] = [sample()];
  using: IUsed[] = [];
  failure: Error | null = null;
  serverVersion = VERSION;
  lists = 0;
  /** Called while a list is under way. */
  during = (): void => undefined;

  stream = new (class implements IEventStream {
    connected = false;
    isDisposed = false;
    attempts = 0;
    connectedChanged: Signal<IEventStream, boolean> = new Signal(this);
    received: Signal<IEventStream, IWorkspaceEvent> = new Signal(this);
    connect(): void {
      this.attempts += 1;
    }
    dispose(): void {
      this.isDisposed = true;
    }
    set(connected: boolean): void {
      this.connected = connected;
      this.connectedChanged.emit(connected);
    }
  })();

  api = {
    list: async () => {
      this.lists += 1;
      const rows = [...this.rows];
      this.during();
      if (this.failure) {
        throw this.failure;
      }
      return rows;
    },
    shared: async () => [],
    used: async () => this.using,
    version: async () => this.serverVersion,
    operations: async () => []
  } as unknown as Api;

  emit(event: object): void {
    this.stream.received.emit(event as IWorkspaceEvent);
  }
}

let model: WorkspacesModel;
afterEach(() => {
  model.dispose();
  vi.useRealTimers();
});

async function loaded(server: Server): Promise<void> {
  model = new WorkspacesModel(server.api, server.stream);
  await vi.waitFor(() => expect(model.loaded).toBe(true));
}

test('an event changes one workspace, without asking for the list', async () => {
  const server = new Server();
  await loaded(server);
  const before = server.lists;
  const workspace = sample({ state: 'suspended', version: 2 });
  server.emit({ event: 'change', id: 'e-1', verb: 'suspend', workspace });
  expect(model.find('a')?.state).toBe('suspended');
  server.emit({
    event: 'change',
    id: 'e-2',
    verb: 'delete',
    workspace: sample({ state: 'deleted', version: 3 })
  });
  expect(model.workspaces).toEqual([]);
  expect(server.lists).toBe(before);
});

test('what is older does not replace what is newer', async () => {
  const server = new Server();
  server.rows = [sample({ version: 5 })];
  await loaded(server);
  model.note(sample({ version: 4, state: 'archived' }));
  expect(model.find('a')?.state).toBe('active');
});

test('an event that comes while the list is read is not lost', async () => {
  const server = new Server();
  await loaded(server);
  server.during = () =>
    server.emit({
      event: 'change',
      id: 'e-1',
      verb: 'create',
      workspace: sample({ id: 'n', name: 'new' })
    });
  await model.refresh();
  expect(model.find('n')?.name).toBe('new');
});

test('a hello reads the list, and nothing polls while events come', async () => {
  vi.useFakeTimers();
  const server = new Server();
  model = new WorkspacesModel(server.api, server.stream);
  await vi.advanceTimersByTimeAsync(100);
  server.stream.set(true);
  const before = server.lists;
  server.emit({ event: 'hello', id: 'e-0', reset: false });
  await vi.advanceTimersByTimeAsync(100);
  expect(server.lists).toBe(before + 1);
  await vi.advanceTimersByTimeAsync(600_000);
  expect(server.lists).toBe(before + 1);
  server.stream.set(false);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(server.lists).toBeGreaterThan(before + 3);
});

test('a failure is kept for the view, and no socket is tried', async () => {
  const server = new Server();
  server.failure = new ApiError('unreachable', 'no server');
  await loaded(server);
  expect(model.error?.code).toBe('unreachable');
  expect(server.stream.attempts).toBe(0);
  server.failure = null;
  await model.refresh();
  expect(model.error).toBeNull();
  expect(server.stream.attempts).toBe(1);
});

test('an older server is said to be one', async () => {
  const server = new Server();
  server.serverVersion = '0.0.9';
  await loaded(server);
  expect(model.error?.code).toBe(SERVER_OLDER);
});

test('CPU is the difference of two looks', async () => {
  const server = new Server();
  let now = 1_000_000;
  server.using = [{ id: 'a', cpu_seconds: 10, memory_bytes: 7 }];
  model = new WorkspacesModel(server.api, server.stream, () => now);
  await vi.waitFor(() => expect(model.loaded).toBe(true));
  expect(model.usage('a')).toBeUndefined();
  model.watched = true;
  await vi.waitFor(() =>
    expect(model.usage('a')).toEqual({ memoryBytes: 7, cpus: null })
  );
  now += 10_000;
  server.using = [{ id: 'a', cpu_seconds: 15, memory_bytes: 8 }];
  model.watched = false;
  model.watched = true;
  await vi.waitFor(() =>
    expect(model.usage('a')).toEqual({ memoryBytes: 8, cpus: 0.5 })
  );
});

test('the current one is that of the place', async () => {
  const server = new Server();
  await loaded(server);
  expect(model.current).toBeUndefined();
  model.place = 'workspaces/alpha/x.ipynb';
  expect(model.current?.id).toBe('a');
  model.place = 'elsewhere';
  expect(model.current).toBeUndefined();
});

test('it is said when there may be other versions', async () => {
  const server = new Server();
  await loaded(server);
  const said: string[] = [];
  model.saved.connect((_, id) => said.push(id));
  const workspace = sample({ version: 2, disk_bytes: 7 });
  server.emit({ event: 'snapshot', id: 'e-1', workspace });
  expect(model.find('a')?.disk_bytes).toBe(7);
  server.emit({ event: 'change', id: 'e-2', verb: 'restore', workspace });
  server.emit({ event: 'warning', id: 'e-3', kind: 'disk', workspace });
  server.emit({ event: 'execution' });
  server.emit({ event: 'hello', id: 'e-4', reset: true });
  expect(said).toEqual(['a', 'a', '']);
});

test('without events each reading of the list may mean other versions', async () => {
  const server = new Server();
  await loaded(server);
  const said: string[] = [];
  model.saved.connect((_, id) => said.push(id));
  await model.refresh();
  expect(said).toEqual(['']);
  server.stream.set(true);
  await model.refresh();
  expect(said).toEqual(['']);
});
