if vim.g.loaded_completion_server then
  return
end
vim.g.loaded_completion_server = true

require('completion_server.command').create()
