"""Gemini's generateContent, streamed."""
