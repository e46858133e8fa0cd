--- Draws the text that is not there yet: one extmark per buffer, moved rather than removed, so nothing flickers.

local M = {}

local MARK_ID = 1
local TEXT_HIGHLIGHT, REPLACED_HIGHLIGHT = 'CompletionServerGhost', 'CompletionServerReplaced'

M.namespace = vim.api.nvim_create_namespace('completion_server')

function M.define_highlights()
  vim.api.nvim_set_hl(0, TEXT_HIGHLIGHT, { default = true, link = 'Comment' })
  vim.api.nvim_set_hl(0, REPLACED_HIGHLIGHT, { default = true, strikethrough = true })
end

--- Tabs as the spaces they take at this place, other control characters as Neovim shows them.
---@param text string
---@param column integer screen column at which it starts
---@return string
local function printable(text, column)
  if not text:find('%c') then
    return text
  end
  local parts = {}
  for part, tab in text:gmatch('([^\t]*)(\t?)') do
    part = vim.fn.strtrans(part)
    column = column + vim.fn.strdisplaywidth(part, column)
    local width = tab ~= '' and vim.fn.strdisplaywidth('\t', column) or 0
    column = column + width
    parts[#parts + 1] = part .. (' '):rep(width)
  end
  return table.concat(parts)
end

--- Shows `text` at a place of the current buffer. `replaced` is what accepting takes away after it.
---@param row integer
---@param column integer
---@param text string
---@param replaced string
function M.show(row, column, text, replaced)
  if replaced ~= '' and vim.endswith(text, replaced) then
    text, replaced = text:sub(1, #text - #replaced), ''
  end
  local before = vim.api.nvim_buf_get_text(0, row, 0, row, column, {})[1]
  local virtual_lines = {}
  for index, line in ipairs(vim.split(text, '\n', { plain = true })) do
    local start = index == 1 and vim.fn.strdisplaywidth(before) or 0
    virtual_lines[index] = { { printable(line, start), TEXT_HIGHLIGHT } }
  end
  local first = table.remove(virtual_lines, 1)
  vim.api.nvim_buf_set_extmark(0, M.namespace, row, column, {
    id = MARK_ID,
    virt_text = first,
    virt_text_pos = 'inline',
    virt_lines = #virtual_lines > 0 and virtual_lines or nil,
    hl_mode = 'combine',
    end_col = replaced ~= '' and column + #replaced or nil,
    hl_group = replaced ~= '' and REPLACED_HIGHLIGHT or nil,
    strict = false,
  })
end

---@param bufnr integer
function M.hide(bufnr)
  if vim.api.nvim_buf_is_valid(bufnr) then
    vim.api.nvim_buf_del_extmark(bufnr, M.namespace, MARK_ID)
  end
end

return M
