import { nullTranslator } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';
import { expect, test, vi } from 'vitest';

import { Api, ISharedWorkspace, IWorkspaceEvent } from '../src/api';
import { AskingModel } from '../src/asking';
import { IEventStream } from '../src/events';
import { WorkspacesModel } from '../src/model';
import {
  IMembers,
  invitationLink,
  may,
  peopleWords,
  Permission,
  Role,
  secretIn
} from '../src/people';
import { IAccessRequest, PeopleApi } from '../src/peopleApi';
import { ApiError } from '../src/request';
import { bannerWords, isRefused, rightsOf } from '../src/rights';
import { SharingModel } from '../src/sharing';
import { VERSION } from '../src/version';
import { sample } from './samples';

const trans = nullTranslator.load('');

test('each role has what the one before has, and more', () => {
  const rows: [Role, Permission[]][] = [
    ['viewer', ['read']],
    ['runner', ['read', 'execute']],
    ['editor', ['read', 'execute', 'write']],
    ['admin', ['read', 'execute', 'write', 'share', 'admin']],
    ['owner', ['read', 'execute', 'write', 'share', 'admin', 'delete']]
  ];
  const all = rows[4][1];
  for (const [role, has] of rows) {
    expect(all.filter(one => may(role, one))).toEqual(has);
  }
});

test('a secret is found in its link, and in nothing else', () => {
  const link = invitationLink('http://host/base/lab', 'sylainvite_A-b_9');
  expect(new URL(link).pathname).toBe('/base/lab');
  expect(new URL(link).search).toBe('');
  expect(secretIn(link)).toBe('sylainvite_A-b_9');
  expect(secretIn(new URL(link).hash)).toBe('sylainvite_A-b_9');
  expect(secretIn(' sylainvite_A-b_9 \n')).toBe('sylainvite_A-b_9');
  for (const other of ['', '#', '#Title', 'http://host/lab', '#syla-join=%']) {
    expect(secretIn(other)).toBe('');
  }
});

test('commands are refused by role', () => {
  const all = rightsOf('owner');
  const refused = (command: string): string =>
    (['viewer', 'runner', 'editor'] as const)
      .filter(role => isRefused(command, rightsOf(role), all))
      .join(' ');
  const rows: { [command: string]: string } = {
    'notebook:run-cell-and-select-next': 'viewer',
    'notebook:restart-run-all': 'viewer',
    'runmenu:run': 'viewer',
    'kernelmenu:shutdown': 'viewer',
    'console:create': 'viewer',
    'notebook:insert-cell-below': 'viewer',
    'notebook:move-cell-up': 'viewer',
    'notebook:cut-cell': 'viewer',
    'editmenu:undo': 'viewer',
    'docmanager:save': 'viewer runner',
    'docmanager:rename': 'viewer runner',
    'docmanager:save-as': '',
    'docmanager:download': '',
    'notebook:move-cursor-up': '',
    'notebook:copy-cell': '',
    'notebook:enter-edit-mode': '',
    'notebook:create-new': '',
    'editmenu:find': '',
    'filebrowser:delete': ''
  };
  for (const [command, roles] of Object.entries(rows)) {
    expect([command, refused(command)]).toEqual([command, roles]);
  }
  const look = rightsOf('viewer');
  expect(isRefused('filebrowser:delete', all, look)).toBe(true);
  expect(isRefused('filebrowser:copy', all, look)).toBe(false);
});

test('a banner says who is asked, and nothing to who may write', () => {
  const words = (role: Role): string =>
    bannerWords(sample(), rightsOf(role), trans);
  expect(words('viewer')).toContain('Ask ann');
  expect(words('runner')).toContain('save a copy');
  expect(words('editor')).toBe('');
});

test('what others did is told to whom it concerns', () => {
  const join = {
    action: 'workspace.join',
    actor: 'ben',
    subject: 'ben',
    role: 'viewer' as Role
  };
  const told = (change: object, me: string, rules: boolean): string =>
    peopleWords({ ...join, ...change }, 'alpha', me, rules, trans);
  expect(told({}, 'ann', true)).toBe('ben has joined alpha as viewer.');
  expect(told({}, 'carla', false)).toBe('');
  expect(told({}, 'ben', true)).toBe('');
  const share = { action: 'workspace.share', actor: 'ann', subject: 'ben' };
  expect(told(share, 'ben', false)).toBe('ann has made you viewer of alpha.');
  expect(told(share, 'ann', true)).toBe('');
  expect(told({ ...join, actor: null }, 'ann', true)).toBe('');
});

/** A stream that a test speaks through, and a server with one workspace of one's own and one of ben's. */
function server(): {
  shared: ISharedWorkspace[];
  model: WorkspacesModel;
  emit: (event: object) => void;
} {
  const shared: ISharedWorkspace[] = [
    { ...sample({ id: 'b', owner: 'ben', name: 'beta' }), role: 'viewer' }
  ];
  const stream = {
    connected: true,
    isDisposed: false,
    connect: () => undefined,
    dispose: () => undefined
  } as unknown as IEventStream & {
    received: Signal<IEventStream, IWorkspaceEvent>;
  };
  Object.assign(stream, {
    received: new Signal(stream),
    connectedChanged: new Signal(stream)
  });
  const api = {
    list: async () => [sample()],
    shared: async () => [...shared],
    version: async () => VERSION
  } as unknown as Api;
  const model = new WorkspacesModel(api, stream);
  model.me = 'ann';
  const emit = (event: object): void =>
    stream.received.emit(event as IWorkspaceEvent);
  return { shared, model, emit };
}

test('those of others are listed with their role, which a change of people changes', async () => {
  const { shared, model, emit } = server();
  await model.known;
  const roles = (): string[] =>
    model.workspaces.map(one => `${one.name} ${model.role(one)}`);
  expect(roles()).toEqual(['alpha owner', 'beta viewer']);
  expect(model.may(shared[0], 'execute')).toBe(false);

  const told: unknown[] = [];
  model.peopleChanged.connect(() => told.push(roles()));
  shared[0] = { ...shared[0], role: 'editor' };
  emit({ event: 'people', id: null });
  await vi.waitFor(() =>
    expect(told).toEqual([['alpha owner', 'beta editor']])
  );
  expect(model.byLink(shared[0])).toBe(false);
  shared[0] = { ...shared[0], via: 'link' };
  emit({ event: 'people', id: 'e-0' });
  await vi.waitFor(() => expect(model.byLink(shared[0])).toBe(true));
  shared.pop();
  emit({ event: 'people', id: 'e-1' });
  await vi.waitFor(() => expect(roles()).toEqual(['alpha owner']));
  model.dispose();
});

test('what an admin of the server hears of strangers is not listed', async () => {
  const { model, emit } = server();
  await model.known;
  const change = { event: 'change', id: 'e-1', verb: 'start' };
  emit({ ...change, workspace: sample({ id: 'c', owner: 'carla' }) });
  expect(model.find('c')).toBeUndefined();
  emit({ ...change, workspace: sample({ id: 'n', owner: 'ann' }) });
  expect(model.find('n')).toBeDefined();
  emit({
    ...change,
    workspace: sample({ id: 'b', owner: 'ben', state: 'archived', version: 2 })
  });
  expect(model.find('b')?.state).toBe('archived');
  model.dispose();
});

function ask(user: string, workspace: string): IAccessRequest {
  return { workspace, user, role: 'viewer', asked_at: '2026-11-22T10:00:00Z' };
}

test('sharing looks after each deed, and keeps what was refused to be read', async () => {
  const { model } = server();
  const members: IMembers = {
    owner: 'ann',
    mode: 'members',
    role: 'owner',
    members: []
  };
  const done: string[] = [];
  const api = {
    members: async () => members,
    invitations: async () => [],
    give: async (_: string, kind: string, name: string, role: string) => {
      if (name === 'nobody') {
        throw new ApiError('unknown_user', 'there is no user nobody');
      }
      done.push(`${kind} ${name} ${role}`);
    },
    invite: async () => ({ id: 'i', secret: 's', role: 'viewer' }),
    uninvite: async () => undefined
  } as unknown as PeopleApi;
  const waiting = [ask('ben', 'a'), ask('carla', 'b')];
  const asking = {
    changed: new Signal<object, void>({}),
    waitingFor: (id: string) => waiting.filter(one => one.workspace === id),
    grant: async (one: IAccessRequest, role: string) => {
      done.push(`grant ${one.user} ${role}`);
      waiting.shift();
    },
    refuse: async (one: IAccessRequest) => done.push(`refuse ${one.user}`)
  };
  const sharing = new SharingModel(
    model,
    api,
    asking as unknown as AskingModel,
    'a'
  );
  expect(sharing.requests).toEqual([]); // her role is not known yet
  await vi.waitFor(() => expect(sharing.members).not.toBeNull());
  expect(await sharing.give('user', 'nobody', 'viewer')).toBe(false);
  expect(sharing.error).toMatchObject({ code: 'unknown_user' });
  expect(await sharing.give('team', 'lab', 'runner')).toBe(true);
  expect(sharing.error).toBeNull();
  expect(done).toEqual(['team lab runner']);
  const [ben] = sharing.requests;
  let changes = 0;
  sharing.changed.connect(() => (changes += 1));
  asking.changed.emit();
  expect([changes, ben.user]).toEqual([1, 'ben']);
  members.role = 'editor';
  await sharing.refresh();
  expect(sharing.requests).toEqual([]);
  members.role = 'admin';
  expect(await sharing.refuse(ben)).toBe(true);
  expect(await sharing.grant(ben, 'editor')).toBe(true);
  expect(sharing.requests).toEqual([]);
  expect(done.slice(1)).toEqual(['refuse ben', 'grant ben editor']);
  await sharing.invite('viewer', 3, 60);
  expect(sharing.made?.secret).toBe('s');
  await sharing.uninvite('i');
  expect(sharing.made).toBeNull();
  sharing.dispose();
  model.dispose();
});
