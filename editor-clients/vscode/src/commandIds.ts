// The commands of this extension. `completionServer.*` are the server's own, registered by the language client.

export const COMMANDS = {
  showMenu: "completion-server.showMenu",
  togglePause: "completion-server.togglePause",
  toggleLanguage: "completion-server.toggleLanguage",
  restart: "completion-server.restart",
  chooseModel: "completion-server.chooseModel",
  showLog: "completion-server.showLog",
  explain: "completion-server.explain",
  install: "completion-server.install",
  choosePath: "completion-server.choosePath",
  openSettings: "completion-server.openSettings",
  acceptWord: "completion-server.acceptWord",
  acceptLine: "completion-server.acceptLine",
} as const;

export type CommandId = (typeof COMMANDS)[keyof typeof COMMANDS];
