"""What the scripted player can say: a small grammar, as data.

`[a|b|]` chooses one of the alternatives (nesting allowed, empty allowed), `<rule>` expands another rule, `{slot}` is
filled by the caller. Read by narration.py. Everyday words, lower case, no punctuation but the
apostrophe.
"""

# What `<rule>` stands for.
PARTS = {
    "open": "okay|alright|so|now|right|well|okay so|and now|alright so|next|then|oh|hm|yeah||||",
    "will": (
        "let's|i'm going to|i'm gonna|i want to|let me|time to|i think i'll|we should|i'd like to|"
        "i'll|we're going to|how about we|i need to|gonna"
    ),
    "go": (
        "go to|walk to|head to|head over to|visit|run over to|make my way to|check out|go see|move to|"
        "walk over to|get to"
    ),
    "chop": "chop|cut down|chop down|take down|cut|get some wood from|go for|fell|collect wood from",
    "dig": "dig|dig up|dig into|shovel|clear|take|collect|get",
    "mine": "mine|break|dig|get|chip away at|knock out|collect",
    "pick": "pick|grab|collect|pick up|take|get",
    "some": "some of|a bit of|a little of|some more of|a few blocks of|",
    "nice": "nice|great|cool|sweet|perfect|lovely|good|excellent|awesome|beautiful",
    "done": (
        "there we go|got it|done|that's it|and that's done|easy|there it is|boom|yes|here we go|"
        "that worked"
    ),
    "oops": "oops|whoops|oh no|ah|my bad|hang on|wait|oh come on|wait no|hold on",
    "think": "i think|i guess|i feel like|maybe|i'm pretty sure|honestly|to be honest|you know|actually",
    "folks": "guys|everyone|chat|my friends|folks|people",
    "soon": "in a minute|in a second|later|after this|soon|one day|next time|tonight",
    "food": "pizza|pasta|soup|toast|ramen|pancakes|a sandwich|rice|curry|noodles|an apple|cheese",
    "drink": "coffee|tea|water|juice|a soda|hot chocolate|lemonade",
    "pet": "cat|dog|rabbit|hamster|bird|puppy|kitten",
    "family": "brother|sister|mom|dad|friend|roommate|uncle|cousin|neighbour",
    "when": "yesterday|last night|this morning|last week|the other day|on sunday|a while ago|last summer",
    "very": "really|so|pretty|super|kind of|very|quite",
    "hotness": "cold|hot|rainy|sunny|windy|cloudy|foggy|warm",
    "job": "house|cabin|tower|bridge|castle|farm|garden|roof|fence|barn|shed|treehouse",
}

# What is said before an errand; {it} names the target, {n} is a number.
ANNOUNCE = {
    "chop": (
        "<open> <will> <chop> {it}|<open> <will> [go|walk over] and <chop> {it}|<open> {it} [is next|"
        "looks good|is mine now|has to go|is coming down]|<open> we need [wood|logs|some wood|"
        "more wood] so {it}|<open> [axe out|grab the axe|getting my axe|"
        "where's my axe] <will> <chop> {it}|<open> i see {it} <will> <chop> it"
    ),
    "sand": (
        "<open> <will> <dig> <some> {it}|<open> <will> [grab the shovel and|take my shovel and|"
        "go and] <dig> <some> {it}|<open> we need [sand|glass] so <will> [go to|dig] {it}|"
        "<open> [sand time|it's sand time] <will> <go> {it}"
    ),
    "dirt": (
        "<open> <will> <dig> <some> {it}|<open> <will> [grab the shovel and|take my shovel and|"
        "go and] <dig> <some> {it}|<open> we need [dirt|soil|"
        "some dirt for the garden] so <will> [go to|dig] {it}"
    ),
    "stone": (
        "<open> <will> <mine> <some> {it}|<open> <will> [grab the pickaxe and|take my pickaxe and|"
        "go and] <mine> <some> {it}|<open> [pickaxe out|pickaxe time|mining time] <will> <go> {it}|"
        "<open> we need [stone|rock|stone for the <job>] so <will> <mine> {it}"
    ),
    "flower": (
        "<open> <will> <pick> {it}|<open> <will> [go|walk over] and <pick> {it}|"
        "<open> {it} [is so pretty|looks lovely|would look great on my table] <will> <pick> it|"
        "<open> [a gift for my <family>|flower time|something for the table] <will> <pick> {it}"
    ),
    "pillar": (
        "<open> <will> <go> {it}|<open> <will> <go> {it} [next|now|again|and take a look|and back]|"
        "<open> {it} [is next|is calling me|it is|i'm coming] |<open> where is {it} <will> <go> it|"
        "<open> off to {it}"
    ),
    "climb": (
        "<open> <will> climb {it}|<open> <will> [go up|jump up|hop up|get on top of|run up] {it}|"
        "<open> [parkour time|time for some parkour|jumping time] <will> climb {it}|"
        "<open> i want to be up [high|there] so {it}"
    ),
    "place": (
        "<open> <will> [place|put down|lay|set down] {n} blocks [here||in a row|in a line]|"
        "<open> <will> build [a little wall|a small wall|a wall] {n} blocks [long|wide]|"
        "<open> [building time|time to build] <will> [place|put down] {n} blocks|"
        "<open> <will> put {n} [blocks|stones] [right here|here|down]"
    ),
    "tower": (
        "<open> <will> [build|make|stack] [a tiny tower|a small tower|a little tower|"
        "two blocks on top of each other]|<open> <will> [place|put] one block on [another|"
        "another one|top of another]|<open> [tower time|time for a tower] two blocks high"
    ),
    "look": (
        "<open> <will> look {it}|<open> <will> [have|take] a [look|quick look] {it}|"
        "<open> what's {it} <will> look|<open> <will> [check|see] what's {it}"
    ),
    "wander": (
        "<open> <will> [walk|wander|go|run] {it} [for a bit|a bit|for a while|and see|]|"
        "<open> let's see what's {it} <will> [walk|wander|go] there|<open> <will> [stretch my legs|"
        "explore] and [walk|go] {it}"
    ),
    "back": (
        "<open> <will> [walk|go|step|move] backwards [for a bit|a bit||now]|"
        "<open> <will> back up [a bit|a little|]|<open> [moonwalk time|"
        "moonwalking] <will> go backwards"
    ),
    "side": (
        "<open> <will> [step|strafe|slide|move|shuffle] to the {it} [for a bit|a bit||now]|"
        "<open> <will> [go|walk] sideways to the {it}|<open> sideways to the {it}"
    ),
    "hop": (
        "<open> <will> jump {n} times [on the spot|for luck|just for fun|]|<open> <will> [do|"
        "make] {n} jumps|<open> {n} [little|big|happy] jumps|<open> jumping {n} times"
    ),
    "spin": (
        "<open> <will> [spin|turn|turn all the way] around to the {it}|<open> <will> do a [spin|"
        "full spin|full turn] to the {it}|<open> spinning to the {it}"
    ),
    "orbit": (
        "<open> <will> [circle around|walk around|go around|walk in a circle around] {it}|"
        "<open> <will> [see|look at] {it} from all sides"
    ),
}

# What is said while it is being done (no new information needed) ...
DURING = {
    "walk": (
        "almost there|here we go|i'm on my way|just a few more steps|walking walking|"
        "let me get a bit closer|coming|over here|watch out for the holes|nearly there|"
        "let's go let's go|keep going|not far now|it's just over there"
    ),
    "chop": (
        "chopping [away|chopping|this log]|this wood is [hard|tough|good|<very> nice]|come on [axe|"
        "tree]|i like the sound of [this|chopping]|timber|one log after another|"
        "this will be a [lot of planks|nice <job>]|look at [the leaves|that bark|all those leaves]"
    ),
    "sand": (
        "sand gets everywhere|this is [like the beach|<very> soft]|dig dig dig|[glass|sandstone|"
        "a sandcastle] [later|soon|would be cool]|so much sand|i love [sand|the beach|digging sand]"
    ),
    "dirt": (
        "just [dirt|plain dirt|some dirt]|dig dig dig|my hands are [so dirty|a mess]|"
        "we could grow [carrots|potatoes|wheat] here|the garden needs [soil|this]|this is good soil|"
        "dirty work"
    ),
    "stone": (
        "stone is [hard|harder than it looks|heavy]|[mining|breaking] away|come on [stone|pickaxe]|"
        "that's a [good|strong|sharp] pickaxe|cobble for the <job>|maybe there's [gold|iron|"
        "a diamond|coal] in there|this takes [a moment|a bit longer]"
    ),
    "flower": (
        "where are you little flower|careful now|so pretty|just look at [the colour|that colour|"
        "that]|gently"
    ),
    "pillar": (
        "it's <very> [tall|bright|big]|who built [these|this|that]|what a colour|i can see it|"
        "straight ahead"
    ),
    "climb": "jump|up we go|higher|and up|don't look down|one more|careful careful|next step|up up up",
    "place": (
        "one [here|more]|and another one|like this|[nice|looks] straight|next block|click|"
        "just like that|a bit to the side"
    ),
    "look": "hm|nothing [here|there]|what a [view|day|place]|interesting|let's see|oh [i see|look at that]",
    "wander": (
        "la la la|just walking|what a [nice|lovely|beautiful] day|let's see what we find|"
        "nice place|fresh air"
    ),
    "move": "woo|haha|this is [fun|silly|weird]|look at me go|i do this all day",
}

# ... after each thing dug or placed ...
COUNT = "that's {n}|{n}|{n} [already|so far|down|now]|got {n}|number {n}|and {n}"

# ... and at the end.
AFTER = {
    "chop": (
        "<done> [wood|some wood|that's the wood|logs for days|{n} logs]|<nice> [we have wood|wood|"
        "that's a good log]|that tree [had it coming|is done|was tough]|"
        "that's enough wood [for a <job>|for now]|{n} logs <nice>"
    ),
    "sand": (
        "<done> [sand|that's the sand|{n} sand]|<nice> [sand|we have sand]|"
        "that's enough sand [for some glass|for now|for a castle]|{n} blocks of sand"
    ),
    "dirt": (
        "<done> [dirt|that's the dirt|{n} dirt]|<nice> [dirt|we have dirt]|"
        "that's enough dirt [for the garden|for now]|{n} blocks of dirt"
    ),
    "stone": (
        "<done> [stone|that's stone|{n} stones]|<nice> [stone|that's stone|solid rock]|"
        "that's enough stone [for a <job>|for now|for a wall]|{n} blocks of stone"
    ),
    "flower": (
        "<done> [a flower|what a flower|it's mine|my flower]|<nice> [flower|it smells good]|"
        "one for [me|my <family>|the table]|picked it|so lovely"
    ),
    "pillar": (
        "<done> [the {colour} one|{colour}|we made it]|<nice> [{colour} pillar|"
        "the {colour} pillar]|here it is the {colour} pillar|so this is {colour}|"
        "{colour} is [my favourite|<very> nice|a good colour|not my colour]|"
        "touch the {colour} pillar"
    ),
    "climb": (
        "<done> [top of the world|we're on top|i'm on top]|<nice> view [from up here|]|"
        "i can see everything [from here|up here]|made it [to the top|all the way up|]|[look|"
        "see] how high [we are|this is]"
    ),
    "place": (
        "<done> [a wall|my wall|look at that|{n} blocks]|<nice> [wall|work|and straight]|"
        "that's a [fine|good|solid] wall|i'm [an architect|a builder|<very> proud of this]|"
        "built to last"
    ),
    "tower": (
        "<done> [a tower|my tower|two blocks]|<nice> [tower|little tower]|tallest tower in [town|"
        "the world]|look how tall it is"
    ),
    "look": (
        "<nice> [view|day]|okay nothing [special|new]|well that was [interesting|nothing]|[seen|"
        "saw] it all"
    ),
    "wander": (
        "okay that's far enough|that's enough walking|so this is [nice|here]|alright here we are|"
        "good spot"
    ),
    "move": (
        "<nice> [moves|footwork]|that was [fun|silly|great]|okay enough of that|<done>|wow i'm dizzy|"
        "ten out of ten"
    ),
}

# When something goes wrong.
FAILED = (
    "<oops> [i can't reach it|i can't get there|that doesn't work|this isn't working|never mind]|"
    "forget it|okay [forget it|something else|leave it]|well that didn't work|i give up [on that one|"
    "]|<oops> [something else then|next one]"
)
OVERSHOT = (
    "<oops> [too far|i went too far|walked right past it|past it|back a bit|a step back]|"
    "<oops> back [up|up a bit]"
)
WRONG = "<oops> [wrong one|wrong block|not that one|that was the wrong block|missed it|not this one]"
STUCK = (
    "<oops> [i'm stuck|stuck again|something is in the way|there's something in the way|"
    "let me get around this]|what is [this|in my way]|[around it|around this|excuse me]"
)
WRONG_TOOL = "<oops> [wrong tool|wrong one|that's not the right tool|not this|other hand]"
MISPLACED = "<oops> [it didn't place|no room there|that didn't go down|try again]"

# Before a slot 0..3 is taken in hand.
TOOL = {
    0: "axe|where's my axe|the axe|got my axe|axe out",
    1: "pickaxe|where's my pickaxe|the pickaxe|pickaxe out|got my pickaxe",
    2: "shovel|where's my shovel|the shovel|shovel out|got my shovel",
    3: "blocks|where are my blocks|some blocks|got the blocks|cobble",
}

# About what is in view.
SIGHT = {
    "tree": "[look|hey] a tree|that's a [nice|big|tall|fine] tree|so many leaves|i like that tree",
    "flower": "[look|oh] a flower|that flower is <very> pretty|flowers everywhere|such pretty flowers",
    "pillar": (
        "[there's|i see|that's|hey] the {colour} pillar|the {colour} one is over there|"
        "{colour} over there"
    ),
    "sand": "[there's|i see] sand [over there|]|sand over there|a little beach",
    "dirt": "[there's|i see] dirt [over there|]|a pile of dirt",
    "stone": "[there's|i see] stone [over there|]|lots of stone [over there|]|rocks over there",
    "water": "[look|oh] water|a little lake|is that water|i could go fishing|don't fall into the water",
    "steps": "[there are|i see] the steps|those steps again|stairs to nowhere",
    "sky": "what a blue sky|not a cloud in the sky|such a clear sky",
    "ground": "the grass is <very> green|just grass down here",
}

# About nothing in the game.
DIGRESS = (
    "<when> my <pet> [ate my <food>|slept on my keyboard|knocked over my <drink>|"
    "ran out of the house|chased a <pet>|jumped on the table]|i had <food> for [dinner|lunch|"
    "breakfast] <when> and it was <very> [good|bad|spicy|tasty|salty|sweet]|"
    "<think> i should [drink more <drink>|sleep more|clean my room|call my <family>|"
    "buy a new [chair|mouse|keyboard|screen]|learn the guitar|go outside more]|"
    "my <family> [plays this too|says hello|thinks i play too much|taught me this game|"
    "is watching right now|never believes me]|it was <very> <hotness> <when> [so i stayed inside|"
    "so we went swimming|and i forgot my jacket|and the bus was late|]|thanks for watching <folks>|"
    "hello <folks> [welcome back|how are you|good to see you|where are you from]|"
    "if you are new here [welcome|say hello|stay a while]|don't forget to [drink some <drink>|"
    "like and subscribe|say hi in the chat|stretch]|someone in chat asked about [my <pet>|the <job>|"
    "music|school|my <drink>]|<soon> i want to build a [big|huge|tiny|wooden|stone|secret] <job>|"
    "i dreamed about [a <job>|flying|my <pet>|dragons|the ocean|school] <when>|"
    "did you know that [trees can talk|a <pet> can count|bees can dance|honey never gets old|"
    "octopuses have three hearts|the moon moves away|bananas are berries]|<think> [the music|"
    "this song|this place|the light|the colour of the sky|this game] is <very> [relaxing|calm|"
    "pretty|strange|good]|<when> i watched a movie about [robots|pirates|space|ghosts|dinosaurs|"
    "a detective] it was <very> [long|boring|scary|funny|sad]|my favourite [food is <food>|"
    "animal is a <pet>|season is [summer|winter|autumn|spring]|day is friday|colour is [purple|"
    "orange|green|blue]]|i used to [live near a lake|play the piano|be afraid of the dark|"
    "have a <pet>|work in a bakery|collect stamps]|one sip of <drink> [first|real quick|mm]|"
    "sorry my <pet> is [making noise|at the door|on my lap|hungry]|[what should we build|"
    "what should i eat|should i get a <pet>|any plans for the weekend] <folks>|"
    "i have to [go shopping|do homework|wash the dishes|feed the <pet>] <soon>"
)

GREETING = (
    "hello <folks> [and welcome back|welcome|good morning|good evening] [to the channel|"
    "to the stream|]|hey <folks> [let's get started|let's play|here we are again]|"
    "okay [we are live|let's begin|here we go]|hi <folks> [today we|let's] just [play|play around|"
    "mess around] a bit"
)

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
