"""realm"""
