import { Signal } from '@lumino/signaling';
import { expect, test, vi } from 'vitest';

import { IWorkspace } from '../src/api';
import { AskingModel, placeOf } from '../src/asking';
import { WorkspacesModel } from '../src/model';
import { IAccessRequest, PeopleApi } from '../src/peopleApi';
import { sample } from './samples';

test('which workspace a path asks for', () => {
  const paths = [
    'workspaces/a b/n.ipynb',
    '/workspaces/x',
    'workspaces',
    'x/y'
  ];
  expect(paths.map(placeOf)).toEqual(['a b', 'x', '', '']);
});

/** What the model needs of the list, and a server that remembers what it was told. */
function parts(): {
  told: Signal<object, object>;
  people: Signal<object, object>;
  list: IWorkspace[];
  requests: IAccessRequest[];
  asking: AskingModel;
} {
  const host = {};
  const told = new Signal<object, object>(host);
  const people = new Signal<object, object>(host);
  const list: IWorkspace[] = [];
  const model = {
    accessTold: told,
    peopleChanged: people,
    saved: new Signal<object, string>(host),
    known: Promise.resolve(),
    find: (id: string) => list.find(one => one.id === id),
    at: (path: string) => list.find(one => one.path === path)
  } as unknown as WorkspacesModel;
  const requests: IAccessRequest[] = [];
  const api = {
    ask: async () => ({ asked: true }),
    requests: async () => [...requests]
  } as unknown as PeopleApi;
  return { told, people, list, requests, asking: new AskingModel(model, api) };
}

test('who asks is told of once, and goes when he is answered', async () => {
  const { told, requests, asking } = parts();
  const heard: string[] = [];
  asking.asked.connect((_, one) => heard.push(one.user));
  const at = '2026-11-22T10:00:00Z';
  requests.push({ workspace: 'a', user: 'ben', role: 'viewer', asked_at: at });
  told.emit({ event: 'access', what: 'asked', called: 'x' });
  await vi.waitFor(() => expect(heard).toEqual(['ben']));
  await asking.refresh();
  expect(heard).toEqual(['ben']);
  expect(asking.waitingFor('a')).toHaveLength(1);
  expect(asking.waitingFor('b')).toEqual([]);
  requests.pop();
  told.emit({ event: 'access', what: 'answered', called: 'x' });
  await vi.waitFor(() => expect(asking.waiting).toEqual([]));
});

test('the answer reaches who asked, and nobody who has not', async () => {
  const { told, people, list, asking } = parts();
  const heard: (string | null)[] = [];
  asking.answered.connect((_, { workspace, path }) =>
    heard.push(workspace ? `${workspace.name} ${path}` : null)
  );
  told.emit({ event: 'access', what: 'refused', called: 'alpha' });
  expect(heard).toEqual([]);
  await asking.ask('alpha', 'viewer', 'workspaces/alpha/n.ipynb');
  await asking.ask('beta', 'viewer', '');
  people.emit({});
  expect(heard).toEqual([]);
  list.push(sample());
  people.emit({});
  expect(heard).toEqual(['alpha workspaces/alpha/n.ipynb']);
  told.emit({ event: 'access', what: 'refused', called: 'beta' });
  expect(heard).toEqual(['alpha workspaces/alpha/n.ipynb', null]);
  people.emit({});
  expect(heard).toHaveLength(2);
});
