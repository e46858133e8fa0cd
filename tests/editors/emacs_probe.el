;;; emacs_probe.el --- Tells a test what Emacs does -*- lexical-binding: t -*-

;;; Commentary:
;; Loaded after the configuration of editor-clients/emacs/README.md, of which it changes nothing.  What happens is
;; written to the socket that EMACS_PROBE names: one JSON object per line, with the time in milliseconds.

;;; Code:
(require 'lsp-mode)
(require 'lsp-inline-completion)

(defvar probe-socket
  (make-network-process :name "probe" :family 'local :service (getenv "EMACS_PROBE") :coding 'binary :noquery t))

(defun probe-say (event &rest facts)
  "Tell the test that EVENT happened, and FACTS about it (a plist)."
  (let ((line (json-serialize `(:event ,event :ms ,(* 1000.0 (float-time)) ,@facts))))
    (process-send-string probe-socket (concat line "\n"))))

(defun probe-text ()
  "The buffer's text."
  (buffer-substring-no-properties (point-min) (point-max)))

(defun probe-screen ()
  "The buffer's text with the suggestion in it, as the overlay shows it."
  (let* ((overlay lsp-inline-completion--overlay)
         (start (overlay-start overlay))
         (end (overlay-end overlay)))
    (concat (buffer-substring-no-properties (point-min) start)
            (unless (= start end) (substring-no-properties (overlay-get overlay 'display)))
            (substring-no-properties (overlay-get overlay 'after-string))
            (buffer-substring-no-properties end (point-max)))))

(defun probe-status (event argument)
  "Tell EVENT with the server's status, asked for with ARGUMENT (a plist)."
  (lsp-request-async
   "workspace/executeCommand"
   `(:command "completionServer.status" :arguments [,argument])
   (lambda (status)
     (let ((json (json-serialize status :null-object nil :false-object :json-false)))
       (probe-say event
                  :status (decode-coding-string json 'utf-8)
                  :sha256 (secure-hash 'sha256 (encode-coding-string (probe-text) 'utf-8)))))
   :mode 'detached))

(defun probe-compare ()
  "Tell what the server takes the document for, beside what it is."
  (interactive)
  (probe-status "compared" '(:documents t)))

(defun probe-request (ask method params)
  "Tell of a request and its reply; ASK, METHOD and PARAMS as the function has them that this is put around."
  (probe-say "request" :method method :column (plist-get (plist-get params :position) :character))
  (let ((reply (funcall ask method params)))
    (probe-say "reply" :num_items (length (lsp-inline-completion--parse-items reply)))
    reply))

(defun probe-shown ()
  "Tell what is shown, and what the server said that it should be."
  (let ((item (elt lsp-inline-completion--items lsp-inline-completion--current)))
    (probe-say "shown"
               :screen (probe-screen)
               :num_items (length lsp-inline-completion--items)
               :insert_text (lsp:inline-completion-item-insert-text item))))

(defun probe-command ()
  "Tell what a command left behind."
  (probe-say "command"
             :name (format "%s" this-command)
             :text (probe-text)
             :point (1- (point))
             :is_shown (if (lsp-inline-completion--active-p) t :false)))

(global-set-key (kbd "<f9>") #'probe-compare)
(advice-add 'lsp--find-root-interactively :before (lambda (&rest _) (probe-say "asked for the root")))
(advice-add 'lsp-request-while-no-input :around #'probe-request)
(add-hook 'lsp-after-open-hook (lambda () (probe-status "loaded" '(:wait t))))
(add-hook 'post-self-insert-hook (lambda () (probe-say "typed")))
(add-hook 'lsp-inline-completion-shown-hook #'probe-shown)
(add-hook 'lsp-inline-completion-cancelled-hook (lambda () (probe-say "dismissed")))
(add-hook 'post-command-hook #'probe-command)

(probe-say "started" :emacs emacs-version :lsp_mode (lsp-version))
;;; emacs_probe.el ends here
