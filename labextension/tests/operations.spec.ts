import { Signal } from '@lumino/signaling';
import { expect, test, vi } from 'vitest';

import { Api, IWorkspaceEvent } from '../src/api';
import { IEventStream } from '../src/events';
import {
  IOperation,
  IOperationEvent,
  OperationsModel
} from '../src/operations';

function operation(over: Partial<IOperation> = {}): IOperation {
  return {
    id: 'o1',
    workspace_id: 'a',
    workspace: 'alpha',
    verb: 'snapshot',
    user: 'ann',
    started_at: '2026-11-22T10:00:00Z',
    cancellable: true,
    cancelled: false,
    files_done: null,
    files_total: null,
    bytes_done: null,
    bytes_total: null,
    ...over
  };
}

class Server {
  rows: IOperation[] = [];
  cancelled: string[] = [];
  failure: Error | null = null;
  stream = { received: new Signal<object, IWorkspaceEvent>({}) };
  api = {
    operations: async () => this.rows,
    cancel: async (workspace: string, id: string) => {
      if (this.failure) {
        throw this.failure;
      }
      this.cancelled.push(`${workspace}/${id}`);
    }
  } as unknown as Api;

  emit(event: object): void {
    this.stream.received.emit(event as IWorkspaceEvent);
  }

  tell(one: IOperation, ended = false): void {
    this.emit({ event: 'operation', ended, error: null, operation: one });
  }

  model(): OperationsModel {
    return new OperationsModel(
      this.api,
      this.stream as unknown as IEventStream
    );
  }
}

test('a page that is loaded again has what is under way, and what events said meanwhile is newer', async () => {
  const server = new Server();
  server.rows = [operation(), operation({ id: 'o2', verb: 'restore' })];
  const model = server.model();
  server.emit({ event: 'hello', id: 'e-1', reset: false });
  server.tell(operation({ id: 'o2', verb: 'restore' }), true);
  await vi.waitFor(() => expect(model.all.map(one => one.id)).toEqual(['o1']));
  expect(model.wasFound('o1')).toBe(true);
  server.tell(operation({ id: 'o3', verb: 'export' }));
  expect(model.wasFound('o3')).toBe(false);
  const ended: IOperationEvent[] = [];
  model.ended.connect((_, event) => ended.push(event));
  server.tell(operation(), true);
  expect(ended.map(event => event.operation.id)).toEqual(['o1']);
  server.rows = []; // the other one ended while there were no events
  server.emit({ event: 'hello', id: 'e-2', reset: true });
  await vi.waitFor(() => expect(model.all).toEqual([]));
});

test('who cancels sees it at once, and that it was too late', async () => {
  const server = new Server();
  const model = server.model();
  server.tell(operation());
  expect(model.isCancelled('a', 'snapshot')).toBe(false);
  const asked = model.cancel('o1');
  expect(model.all[0]).toMatchObject({ cancelled: true, cancellable: false });
  await asked;
  expect(server.cancelled).toEqual(['a/o1']);
  server.tell(operation({ cancelled: true, cancellable: false }), true);
  expect(model.isCancelled('a', 'snapshot')).toBe(true); // its answer may come later
  server.tell(operation({ id: 'o2' }));
  expect(model.isCancelled('a', 'snapshot')).toBe(false);
  server.failure = new Error('too late');
  await expect(model.cancel('o2')).rejects.toThrow('too late');
  expect(model.all[0]).toMatchObject({ cancelled: false, cancellable: false });
  await model.cancel('none');
});
