--- A language server inside of Neovim. It keeps every request until the test answers it.

local M = { encoding = 'utf-16', requests = {}, cancelled = {}, notifications = {} }

local function server(dispatchers)
  local is_closing, num_requests = false, 0
  return {
    request = function(method, params, callback)
      num_requests = num_requests + 1
      local id = num_requests
      if method == 'initialize' then
        local capabilities = {
          positionEncoding = M.encoding,
          textDocumentSync = { openClose = true, change = 2 },
          inlineCompletionProvider = vim.empty_dict(),
        }
        callback(nil, { capabilities = capabilities })
      elseif method == 'textDocument/inlineCompletion' then
        local tick = vim.api.nvim_buf_get_changedtick(0)
        M.requests[#M.requests + 1] =
          { id = id, params = params, tick = tick, answer = vim.schedule_wrap(callback) }
      elseif method == 'workspace/executeCommand' then
        callback(nil, { state = 'ready' })
      elseif method == 'shutdown' then
        callback(nil, nil)
      end
      return true, id
    end,
    notify = function(method, params)
      M.notifications[#M.notifications + 1] = method
      if method == '$/cancelRequest' then
        M.cancelled[#M.cancelled + 1] = params.id
      elseif method == 'exit' then
        is_closing = true
        dispatchers.on_exit(0, 15)
      end
    end,
    is_closing = function()
      return is_closing
    end,
    terminate = function()
      is_closing = true
    end,
  }
end

---@param encoding? string
---@param options? completion_server.Config
function M.setup(encoding, options)
  M.encoding = encoding or M.encoding
  options = options or {}
  options.cmd = server ---@diagnostic disable-line
  require('completion_server').setup(options)
end

--- Whether the last request is for the text and the cursor as they are, and waits for its answer.
---@return boolean
function M.is_asked()
  local last = M.requests[#M.requests]
  if not last or last.is_answered or last.tick ~= vim.api.nvim_buf_get_changedtick(0) then
    return false
  end
  return vim.deep_equal(last.params.position, vim.lsp.util.make_position_params(0, M.encoding).position)
end

--- The requests that were neither answered nor cancelled.
---@return integer
function M.num_open()
  local count = 0
  for _, request in ipairs(M.requests) do
    local is_cancelled = vim.tbl_contains(M.cancelled, request.id)
    count = count + ((request.is_answered or is_cancelled) and 0 or 1)
  end
  return count
end

--- Answers a request (the last one): texts for the place asked about, each with a range that reaches so many
--- characters to the left and to the right of it.
---@param texts string[]
---@param left? integer
---@param right? integer
---@param index? integer
function M.answer(texts, left, right, index)
  local request = M.requests[index or #M.requests]
  request.is_answered = true
  local place, items = request.params.position, {}
  for number, text in ipairs(texts) do
    items[number] = {
      insertText = text,
      range = {
        start = { line = place.line, character = place.character - (left or 0) },
        ['end'] = { line = place.line, character = place.character + (right or 0) },
      },
    }
  end
  request.answer(nil, { items = items })
end

return M
