"""Longer texts of the day: what guests wrote, and what the house wrote about itself."""

from __future__ import annotations

TEXTS: list[tuple[str, str, str]] = [
    ("07:05", "Night porter's log",
     ("The night was quiet until two. Room 0512 asked for a wool blanket at 23:40. At 02:10 the lift B doors"
     " reopened several times on floor 4 and lift B was taken out of service for twenty minutes. A guest of 0801"
     " came home without a card and was let in against an identity card. The lift company has been told about"
     " the doors of lift B and comes at nine. The bakery delivered at 04:30. Nothing else happened.")),
    ("08:10", "Review of room 1104",
     ("We stayed four nights and loved the view. The bed was excellent and the room was quiet. On the second"
     " morning water dripped from the ceiling above the bed. The desk moved us to another room within ten"
     " minutes and sent a bottle of wine. The water damage was handled better than anywhere we have been."
     " Breakfast is good, although the coffee machine is slow. We will come again because of the staff.")),
    ("09:15", "Kitchen meeting",
     ("The kitchen has two open places this week. Dishwasher 2 leaks and is used only for glasses. A mouse was"
     " reported behind the dishwasher, so the pest company comes at noon and the cold store stays closed from"
     " twelve to one. The new menu starts on Friday. Everybody tastes the pumpkin soup today. Nut allergies"
     " are marked in red on the breakfast card, and the pest company needs the floor free of boxes.")),
    ("10:50", "Reviews of the pool",
     ("The pool is warm and clean. Children have fun in the shallow part of the pool. Some guests find the"
     " changing rooms too small. The sauna is praised by nearly everybody. Two reviews say that the air at the"
     " pool is too humid in the morning. One guest slipped at the edge of the pool and asks for a mat.")),
    ("12:40", "Lift company's report",
     ("We inspected lift B and lift C. The door sensor of lift B was dirty and has been cleaned. Lift C stopped"
     " between floors because of a worn roller on the cabin door. The roller was replaced. Two people waited"
     " nineteen minutes in lift C and were well. We advise replacing the rollers of all four lifts before"
     " winter. Lift A should be watched for vibration. The next inspection is due in May.")),
    ("14:20", "Conference feedback",
     ("The meeting went well and the lunch was praised. The projector screen of conference room 1 did not come"
     " down for a quarter of an hour. Forty people waited. A colleague of yours fixed the screen with a ladder."
     " The air was fresh all day. The network was offline for a minute around ten. We would book again if the"
     " screen is repaired.")),
    ("16:05", "Housekeeping at four",
     ("Ninety-four rooms are done and eleven are left. Room 0809 is closed because of bedbugs and the treatment"
     " starts at five. The guests of 0809 have moved to 0902 with all of their things in sealed bags. Towels are"
     " short until the laundry delivers at six. The carpet of 1104 is drying. Room 0407 was forgotten yesterday"
     " and was cleaned first today. Bedbugs were found in no other room next to 0809.")),
    ("18:30", "Review of the Meridian",
     ("The view from the twelfth floor is worth the price. The fish was perfect. Service was friendly but slow"
     " after eight. A guest at the next table had an allergic reaction and the staff acted at once: an ambulance"
     " came in nine minutes. The staff stayed calm. We would have liked a longer wine list.")),
    ("20:40", "Security at half past eight",
     ("A stranger was seen on floor 9 in the morning and again on a camera in the garage at 14:43, where he"
     " worked on the keypad of the garage lock. The police have the pictures. The garage lock was changed at"
     " four. The suitcase in the lobby belonged to a guest of 0307. The fire in the kitchen was out before the"
     " fire brigade arrived. Rounds in the garage are doubled tonight.")),
    ("22:50", "The day in the house's words",
     ("It was a full day with 214 arrivals. Water in 1104 and in the cellar kept engineering busy all morning."
     " The cellar pump ran for 45 minutes and the cellar is dry. Two guests went to hospital and both are well."
     " The kitchen fire cost one fryer. The server room was warm for an hour because a cooling unit had stopped."
     " Thanks to everybody, and good night.")),
]  # fmt: skip
