"""An HTTP server whose answers abstain: OpenAI's schema, a plain one, and a page to ask."""
