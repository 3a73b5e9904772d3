import { Signal } from '@lumino/signaling';
import { afterEach, expect, test, vi } from 'vitest';

import { IWorkspace } from '../src/api';
import { WorkspacesModel } from '../src/model';
import { ApiError } from '../src/request';
import { IDiff, ISnapshot } from '../src/snapshots';
import { VersionsModel } from '../src/versions';
import { sample, snapshot } from './samples';

const NOTHING: IDiff = {
  added: [],
  changed: [],
  removed: [],
  renamed: [],
  attributes: [],
  omitted: 0,
  packages: [],
  variables: []
};

/** A server in memory, and the signals by which the page hears of it. */
class Server {
  rows: ISnapshot[] = [snapshot(1), snapshot(2), snapshot(3)];
  reads = 0;
  asked: [number, number][] = [];
  looks: string[] = [];
  failure: Error | null = null;
  /** What an answer waits for. */
  gate: Promise<void> = Promise.resolve();
  workspace: IWorkspace | undefined = sample();
  saved = new Signal<object, string>({});
  changed = new Signal<object, void>({});

  model(): VersionsModel {
    made = new VersionsModel(
      {
        api: {
          snapshots: () => this.answer([...this.rows], () => this.reads++),
          diff: (_: string, a: number, b: number) =>
            this.answer({ ...NOTHING, omitted: b - a }, () =>
              this.asked.push([a, b])
            ),
          fileDiff: (_: string, a: number, b: number, path: string) =>
            this.answer({ kind: 'text', bytes: b - a }, () =>
              this.looks.push(path)
            )
        },
        saved: this.saved,
        changed: this.changed,
        find: () => this.workspace
      } as unknown as WorkspacesModel,
      'a'
    );
    return made;
  }

  async answer<T>(what: T, note: () => void): Promise<T> {
    note();
    const { failure } = this;
    await this.gate;
    if (failure) {
      throw failure;
    }
    return what;
  }

  /** Answers from now on wait for the function that this returns. */
  hold(): () => void {
    let release = (): void => undefined;
    this.gate = new Promise(resolve => {
      release = resolve;
    });
    return () => release();
  }
}

let made: VersionsModel;
afterEach(() => made.dispose());

async function loaded(server: Server): Promise<VersionsModel> {
  const versions = server.model();
  await vi.waitFor(() => expect(versions.loaded).toBe(true));
  return versions;
}

const numbers = (versions: VersionsModel): number[] =>
  versions.snapshots.map(row => row.version);

test('the newest is first', async () => {
  expect(numbers(await loaded(new Server()))).toEqual([3, 2, 1]);
});

test('they are read again when there may be others, and not for other workspaces', async () => {
  const server = new Server();
  const versions = await loaded(server);
  server.rows.push(snapshot(4));
  server.saved.emit('b');
  expect(server.reads).toBe(1);
  server.saved.emit('a');
  await vi.waitFor(() => expect(numbers(versions)[0]).toBe(4));
  server.saved.emit('');
  expect(server.reads).toBe(3);
});

test('of answers that overtake each other the last one asked for counts', async () => {
  const server = new Server();
  const versions = await loaded(server);
  const release = server.hold();
  const late = versions.refresh();
  server.rows = [snapshot(9)];
  server.gate = Promise.resolve();
  await versions.refresh();
  release();
  await late;
  expect(numbers(versions)).toEqual([9]);
});

test('what went wrong is said beside what is known, until it goes well', async () => {
  const server = new Server();
  const versions = await loaded(server);
  server.failure = new ApiError('objects_failed', 'the store is away');
  await versions.refresh();
  expect(versions.error).toBe(server.failure);
  expect(numbers(versions)).toEqual([3, 2, 1]);
  server.failure = null;
  await versions.refresh();
  expect(versions.error).toBeNull();
});

test('two are compared, the older one first; a third lets the first go', async () => {
  const server = new Server();
  const versions = await loaded(server);
  versions.toggle(3);
  expect(server.asked).toEqual([]);
  versions.toggle(1);
  await vi.waitFor(() => expect(versions.diff?.omitted).toBe(2));
  versions.toggle(2);
  expect(versions.chosen).toEqual([1, 2]);
  expect(versions.diff).toBeNull();
  await vi.waitFor(() => expect(versions.diff?.omitted).toBe(1));
  versions.toggle(1);
  expect(versions.chosen).toEqual([2]);
  expect(versions.diff).toBeNull();
  expect(server.asked).toEqual([
    [1, 3],
    [1, 2]
  ]);
});

test('a comparison that comes late is not shown as another one', async () => {
  const server = new Server();
  const versions = await loaded(server);
  const release = server.hold();
  versions.toggle(1);
  versions.toggle(3);
  versions.toggle(3);
  release();
  await new Promise(resolve => setTimeout(resolve));
  expect(versions.diff).toBeNull();
});

test('a refused comparison is said, and forgotten with the next', async () => {
  const server = new Server();
  const versions = await loaded(server);
  server.failure = new ApiError('snapshot_damaged', 'v1 is damaged');
  versions.toggle(1);
  versions.toggle(2);
  await vi.waitFor(() => expect(versions.diffError).toBe(server.failure));
  server.failure = null;
  versions.toggle(3);
  expect(versions.diffError).toBeNull();
  await vi.waitFor(() => expect(versions.diff).not.toBeNull());
});

test('a file is looked into once for each two, and again after a refusal', async () => {
  const server = new Server();
  const versions = await loaded(server);
  await versions.look('files/a');
  expect(server.looks).toEqual([]); // between nothing
  versions.toggle(1);
  versions.toggle(3);
  const looked = versions.look('files/a');
  expect(versions.inFile('files/a')).toEqual({ diff: null, error: null });
  await Promise.all([looked, versions.look('files/a')]);
  expect(versions.inFile('files/a').diff?.bytes).toBe(2);
  server.failure = new ApiError('bad_path', 'there is none');
  await versions.look('files/b');
  expect(versions.inFile('files/b').error).toBe(server.failure);
  server.failure = null;
  await versions.look('files/b');
  expect(versions.inFile('files/b').error).toBeNull();
  expect(server.looks).toEqual(['files/a', 'files/b', 'files/b']);
  versions.toggle(2);
  expect(versions.inFile('files/a').diff).toBeNull();
});

test('what is gone is not chosen any more', async () => {
  const server = new Server();
  const versions = await loaded(server);
  versions.toggle(1);
  versions.toggle(3);
  await vi.waitFor(() => expect(versions.diff).not.toBeNull());
  server.rows = [snapshot(3)];
  await versions.refresh();
  expect(versions.chosen).toEqual([3]);
  expect(versions.diff).toBeNull();
});

test('the workspace is followed, and stays as it was when it is deleted', async () => {
  const server = new Server();
  const versions = await loaded(server);
  let changes = 0;
  versions.changed.connect(() => (changes += 1));
  server.changed.emit();
  expect(changes).toBe(0);
  server.workspace = sample({ name: 'beta', version: 2 });
  server.changed.emit();
  expect([changes, versions.workspace?.name]).toEqual([1, 'beta']);
  server.workspace = undefined;
  server.changed.emit();
  expect([changes, versions.workspace?.name]).toEqual([1, 'beta']);
});

test('nothing is heard once it is disposed', async () => {
  const server = new Server();
  const versions = await loaded(server);
  versions.dispose();
  server.saved.emit('a');
  expect(server.reads).toBe(1);
});
