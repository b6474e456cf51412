"""What the language model reads: texts and interactions as documents over words, user tokens and item tokens."""
