"""The dummy world with a game that ends: in every fifth life, after some steps."""

from vlpt.worlds.dummy import Dummy


class Mortal(Dummy):
    lives = 0  # of all games of the process

    def reset(self, **given):
        Mortal.lives, self.steps_left = Mortal.lives + 1, 3
        return super().reset(**given)

    def step(self, action):
        self.steps_left -= 1
        if Mortal.lives % 5 == 0 and self.steps_left < 0:
            raise RuntimeError("the game ended with code -9; its last lines:\n    joins game")
        return super().step(action)
