/** Who may do what, pure: roles and what they allow, as on the server; invitations as links. */
import { TranslationBundle } from '@jupyterlab/translation';

export type Permission =
  'read' | 'write' | 'execute' | 'share' | 'delete' | 'admin';
export type GivenRole = 'admin' | 'editor' | 'runner' | 'viewer';
export type Role = 'owner' | GivenRole;
export type AccessMode = 'private' | 'members' | 'link';
export type Kind = 'user' | 'team';

export interface IMember {
  kind: Kind;
  subject: string;
  role: Role;
  granted_by: string;
}

export interface IMembers {
  owner: string;
  mode: AccessMode;
  /** Of who asks. */
  role: Role | null;
  members: IMember[];
}

export interface IInvitation {
  id: string;
  role: Role;
  created_by: string;
  expires_at: string;
  uses_left: number;
}

/** Its secret is told this once. */
export interface IInvitationMade extends IInvitation {
  secret: string;
}

const LOOKS: Permission[] = ['read'];
const RUNS: Permission[] = [...LOOKS, 'execute'];
const EDITS: Permission[] = [...RUNS, 'write'];
const RULES: Permission[] = [...EDITS, 'share', 'admin'];
const HAS: { [role in Role]: ReadonlySet<Permission> } = {
  viewer: new Set(LOOKS),
  runner: new Set(RUNS),
  editor: new Set(EDITS),
  admin: new Set(RULES),
  owner: new Set([...RULES, 'delete'])
};
export const GIVEN: GivenRole[] = ['viewer', 'runner', 'editor', 'admin'];
export const MODES: AccessMode[] = ['private', 'members', 'link'];

export function may(role: Role, permission: Permission): boolean {
  return HAS[role].has(permission);
}

export function roleName(role: Role, trans: TranslationBundle): string {
  switch (role) {
    case 'viewer':
      return trans.__('viewer: sees files and results');
    case 'runner':
      return trans.__('runner: also runs code');
    case 'editor':
      return trans.__('editor: also changes files');
    case 'admin':
      return trans.__('admin: also shares it');
    default:
      return trans.__('owner');
  }
}

export function modeName(mode: AccessMode, trans: TranslationBundle): string {
  switch (mode) {
    case 'private':
      return trans.__('private: its owner alone; roles are kept for later');
    case 'members':
      return trans.__('members: those who have a role here');
    default:
      return trans.__('link: also every user of this server, as a viewer');
  }
}

/** What a person is told of a change; empty: nothing that concerns her, or she has done it herself. */
export function peopleWords(
  change: {
    action: string | null;
    actor: string | null;
    subject: string | null;
    role: Role | null;
  },
  workspace: string,
  me: string,
  rules: boolean,
  trans: TranslationBundle
): string {
  const { action, actor, subject, role } = change;
  if (!actor || actor === me) {
    return '';
  }
  if (subject === me && role) {
    return role === 'owner'
      ? trans.__('%1 has given you %2: you own it.', actor, workspace)
      : trans.__('%1 has made you %2 of %3.', actor, role, workspace);
  }
  if (!rules) {
    return '';
  }
  switch (action) {
    case 'workspace.join':
      return trans.__('%1 has joined %2 as %3.', actor, workspace, role ?? '');
    case 'workspace.leave':
      return trans.__('%1 has left %2.', actor, workspace);
    default:
      return '';
  }
}

const MARK = 'syla-join=';

/** The link that makes whoever opens it a member. What is after `#` is not sent to any server, so it is in no log. */
export function invitationLink(labUrl: string, secret: string): string {
  return `${labUrl}#${MARK}${encodeURIComponent(secret)}`;
}

/** The secret in such a link, in the part after `#` of one, or in what somebody has pasted; empty: there is none. */
export function secretIn(text: string): string {
  const given = text.trim();
  const at = given.indexOf(MARK);
  if (at < 0) {
    return /^[\w.~-]+$/.test(given) ? given : '';
  }
  try {
    return decodeURIComponent(given.slice(at + MARK.length).split('&')[0]);
  } catch {
    return '';
  }
}
