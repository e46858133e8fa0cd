--- What the server said: its messages to the editor, and what it wrote to stderr, kept in Neovim's LSP log.

local M = {}

local MAX_MESSAGES, MAX_LOG_LINES = 200, 200
local KINDS = { 'error', 'warning', 'info', 'log', 'debug' }

---@type string[]
local messages = {}

--- Handler of window/logMessage.
function M.on_message(err, result, context, ...)
  if result then
    local kind = KINDS[result.type] or 'log'
    messages[#messages + 1] = ('%s [%s] %s'):format(os.date('%H:%M:%S'), kind, result.message)
    if #messages > MAX_MESSAGES then
      table.remove(messages, 1)
    end
  end
  return vim.lsp.handlers['window/logMessage'](err, result, context, ...)
end

--- The path of Neovim's LSP log.
---@return string
local function log_path()
  return vim.lsp.log and vim.lsp.log.get_filename() or vim.lsp.get_log_path()
end

---@return string[]
local function stderr_lines()
  local file = io.open(log_path())
  if not file then
    return {}
  end
  local found = {}
  for line in file:lines() do
    if line:find('completion', 1, true) and line:find('stderr', 1, true) then
      found[#found + 1] = line:gsub('\\n"$', '"')
    end
  end
  file:close()
  return vim.list_slice(found, math.max(1, #found - MAX_LOG_LINES + 1))
end

---@return string[]
function M.lines()
  local lines = { 'Messages of the server:', '' }
  vim.list_extend(lines, #messages > 0 and messages or { '(none)' })
  vim.list_extend(lines, { '', 'Its last lines on stderr, from ' .. log_path() .. ':', '' })
  vim.list_extend(lines, stderr_lines())
  local flat = {}
  for _, line in ipairs(lines) do
    vim.list_extend(flat, vim.split(line, '\n', { plain = true }))
  end
  return flat
end

--- Shows all of it in a window of its own.
function M.open()
  vim.cmd('botright new')
  local bufnr = vim.api.nvim_get_current_buf()
  vim.bo[bufnr].buftype, vim.bo[bufnr].bufhidden, vim.bo[bufnr].swapfile = 'nofile', 'wipe', false
  vim.api.nvim_buf_set_lines(bufnr, 0, -1, false, M.lines())
  vim.bo[bufnr].modifiable = false
  vim.api.nvim_win_set_cursor(0, { vim.api.nvim_buf_line_count(bufnr), 0 })
end

return M
