"""Are the scores probabilities?"""
