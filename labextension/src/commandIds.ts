/** The names of all commands: buttons, menus, palette, launcher and keys name these. */
export namespace CommandIDs {
  export const create = 'syla:create';
  export const show = 'syla:show';
  export const refresh = 'syla:refresh';
  export const open = 'syla:open';
  export const suspend = 'syla:suspend';
  export const resume = 'syla:resume';
  export const stop = 'syla:stop';
  export const archive = 'syla:archive';
  export const recover = 'syla:recover';
  export const remove = 'syla:delete';
  export const extend = 'syla:extend';
  export const limits = 'syla:limits';
  export const versions = 'syla:snapshots';
  export const take = 'syla:take-snapshot';
  export const restore = 'syla:restore';
  export const clone = 'syla:clone';
  export const exportFile = 'syla:export';
  export const variables = 'syla:variables';
  export const share = 'syla:share';
  export const join = 'syla:join';
  export const leave = 'syla:leave';
  export const people = 'syla:people';
  export const ask = 'syla:ask';
  export const follow = 'syla:follow';
  export const unfollow = 'syla:unfollow';
}

/** Buttons of a workspace's row, in this order; those that are not possible now are not shown. */
export const ROW_COMMANDS = [
  CommandIDs.open,
  CommandIDs.resume,
  CommandIDs.suspend,
  CommandIDs.stop,
  CommandIDs.recover,
  CommandIDs.take,
  CommandIDs.versions,
  CommandIDs.clone,
  CommandIDs.share,
  CommandIDs.limits,
  CommandIDs.archive,
  CommandIDs.remove
];
