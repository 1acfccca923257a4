"""What a picture will cost, before it is made: the law of its work, and what this server takes."""
