"""Models that anyone can run: requests fitted to what an Ollama or OpenAI-compatible server takes.

`fit.fit_open` is the door; `card.generic` makes the card of a model of which little is known.
"""
