"""What OpenAI says alike in both of its formats, chat completions and Responses.

Owns: the error object (`fault`) and the model list (`models`), both ways.
Refuses: requests and answers, which the two formats do not share.
"""
