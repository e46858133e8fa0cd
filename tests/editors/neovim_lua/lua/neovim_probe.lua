--- What the tests look at inside of Neovim.

local M = {}

local GUARD_MS = 60000

--- The extmark of the ghost text in the current buffer, of either client.
---@return table? mark as of nvim_buf_get_extmarks, with details
function M.mark()
  for _, name in ipairs({ 'completion_server', 'nvim.lsp.inline_completion' }) do
    local namespace = vim.api.nvim_create_namespace(name)
    local marks = vim.api.nvim_buf_get_extmarks(0, namespace, 0, -1, { details = true })
    assert(#marks <= 1, 'more than one ghost')
    if marks[1] then
      return marks[1]
    end
  end
end

---@return string?
function M.ghost()
  local mark = M.mark()
  if not mark then
    return nil
  end
  local lines = { mark[4].virt_text[1][1] }
  for _, line in ipairs(mark[4].virt_lines or {}) do
    lines[#lines + 1] = line[1][1]
  end
  return table.concat(lines, '\n')
end

--- Runs a command of the server and waits for its result.
---@param name string
---@param argument any
---@return table
function M.execute(name, argument)
  local result
  assert(require('completion_server.server').execute(name, argument, function(reply)
    result = reply
  end))
  assert(
    vim.wait(GUARD_MS, function()
      return result ~= nil
    end, 1),
    'no answer'
  )
  return result
end

return M
