"""GGUF files run as they are by llama.cpp's own server, in a child process of this one."""
